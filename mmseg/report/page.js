'use strict';
// Draws the images that the page carries, and says what class the pointer is on.
const results = JSON.parse(document.getElementById('data').textContent).results;
const classes = results[0].classes, palette = results[0].palette;
const UNKNOWN = 255, WRONG = [220, 40, 40];
const VIRIDIS = [[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [253, 231, 37]];
const tip = document.getElementById('tip');
const drawings = [];  // what to draw again when another class is chosen
let chosen = null;

function element(kind, className, text) {
  const made = document.createElement(kind);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

const nameOf = id => id === UNKNOWN ? 'not labelled' : classes[id] ?? `class ${id}`;
const colourOf = id => palette[id] ?? [0, 0, 0];
const percent = value => value === null ? '–' : (100 * value).toFixed(1);

function viridis(share) {
  const place = Math.min(share * 4, 3.999), low = Math.floor(place), part = place - low;
  return VIRIDIS[low].map((value, channel) => value + part * (VIRIDIS[low + 1][channel] - value));
}

async function pixels(address) {
  const image = new Image();
  image.src = address;
  await image.decode();
  const canvas = element('canvas');
  canvas.width = image.naturalWidth;
  canvas.height = image.naturalHeight;
  const context = canvas.getContext('2d', {willReadFrequently: true});
  context.drawImage(image, 0, 0);
  return context.getImageData(0, 0, canvas.width, canvas.height);
}

async function map(address) {  // the brightness of each pixel
  const {data, width, height} = await pixels(address);
  const values = new Uint8Array(width * height);
  for (let i = 0; i < values.length; i++) values[i] = data[4 * i];
  return {values, width, height};
}

function paint(canvas, width, height, colour) {
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext('2d'), image = context.createImageData(width, height);
  for (let i = 0; i < width * height; i++) {
    const [r, g, b] = colour(i);
    image.data.set([r, g, b, 255], 4 * i);
  }
  context.putImageData(image, 0, 0);
}

function grey(photograph, i) {
  const data = photograph.data;
  const value = 40 + 0.45 * (data[4 * i] + data[4 * i + 1] + data[4 * i + 2]) / 3;
  return [value, value, value];
}

function painters(loaded) {
  const {photograph, truth, runs} = loaded;
  const faded = id => i => chosen === null || id[i] === chosen ? colourOf(id[i]) : grey(photograph, i);
  const all = [
    i => [photograph.data[4 * i], photograph.data[4 * i + 1], photograph.data[4 * i + 2]], faded(truth.values)];
  for (const run of runs) {
    const wrong = i => truth.values[i] !== UNKNOWN && truth.values[i] !== run.prediction.values[i]
      && (chosen === null || chosen === truth.values[i] || chosen === run.prediction.values[i]);
    all.push(faded(run.prediction.values), i => wrong(i) ? WRONG : grey(photograph, i),
             i => viridis(run.confidence.values[i] / 255));
  }
  return all;
}

function panel(title) {
  const figure = element('figure', 'panel'), canvas = element('canvas');
  figure.append(canvas, element('figcaption', '', title));
  return figure;
}

function line(label, id) {
  const made = element('div');
  if (id !== undefined) {
    const square = element('i');
    square.style.background = `rgb(${colourOf(id)})`;
    made.append(square);
  }
  made.append(label);
  return made;
}

function point(event, block, panels, loaded) {
  const canvas = event.target, box = canvas.getBoundingClientRect();
  const x = (event.clientX - box.left) / box.width, y = (event.clientY - box.top) / box.height;
  const {width, height} = loaded.truth;
  const i = Math.min(height - 1, Math.max(0, Math.floor(y * height))) * width
    + Math.min(width - 1, Math.max(0, Math.floor(x * width)));
  tip.replaceChildren(line(`truth: ${nameOf(loaded.truth.values[i])}`, loaded.truth.values[i]));
  for (const run of loaded.runs) {
    const id = run.prediction.values[i], sure = Math.round(run.confidence.values[i] / 2.55);
    tip.append(line(`${run.title('prediction')}: ${nameOf(id)}, ${sure} %`, id));
  }
  tip.hidden = false;
  tip.style.left = `${Math.min(event.clientX + 16, innerWidth - tip.offsetWidth - 8)}px`;
  tip.style.top = `${Math.min(event.clientY + 16, innerHeight - tip.offsetHeight - 8)}px`;
  for (const other of panels) {
    let mark = other.querySelector('.mark');
    if (!mark) other.append(mark = element('div', 'mark'));
    mark.style.left = `${100 * x}%`;
    mark.style.top = `${y * other.querySelector('canvas').clientHeight}px`;
  }
}

function leave(panels) {
  tip.hidden = true;
  for (const other of panels) other.querySelector('.mark')?.remove();
}

async function fill(block, panels, having) {
  const first = having[0].image;
  const loaded = {photograph: await pixels(first.photograph), truth: await map(first.truth), runs: []};
  for (const {image, title} of having) {
    loaded.runs.push({title, prediction: await map(image.prediction), confidence: await map(image.confidence)});
  }
  const draw = () => painters(loaded).forEach(
    (colour, place) => paint(panels[place].querySelector('canvas'), loaded.truth.width, loaded.truth.height, colour));
  draw();
  drawings.push(draw);
  for (const {firstChild: canvas} of panels) {
    canvas.addEventListener('pointermove', event => point(event, block, panels, loaded));
    canvas.addEventListener('pointerleave', () => leave(panels));
  }
  block.dataset.ready = 'yes';
}

const several = results.length > 1;
const waiting = new Map();
const watcher = new IntersectionObserver(entries => {  // only what comes into view is drawn
  for (const {isIntersecting, target} of entries) {
    if (!isIntersecting) continue;
    watcher.unobserve(target);
    waiting.get(target)();
  }
}, {rootMargin: '400px'});

function show(name, place) {
  const having = results.flatMap(result => result.images.filter(image => image.name === name).map(image => ({
    image, title: what => several ? `${result.name}: ${what}` : what})));
  const block = element('figure', 'image');
  const scores = having.map(({image, title}) => `${title('mIoU')} ${percent(image.miou)}`
    + (several ? '' : `, right pixels ${percent(image.accuracy)} %`));
  block.append(element('figcaption', '', `${name} · ${scores.join(' · ')}`));
  const rows = [[panel('photograph'), panel('truth')]];
  for (const {title} of having) {
    const own = [panel(title('prediction')), panel(title('errors')), panel(title('confidence'))];
    if (several) rows.push(own);
    else rows[0].push(...own);
  }
  for (const panels of rows) {
    const row = element('div', several ? 'row three' : 'row');
    row.append(...panels);
    block.append(row);
  }
  place.append(block);
  waiting.set(block, () => fill(block, rows.flat(), having));
  watcher.observe(block);
}

function list(id, heading, wanted) {
  const place = document.getElementById(id);
  const names = [...new Set(results.flatMap(result => result.images.filter(wanted).map(image => image.name)))];
  if (!place || !names.length) return;
  place.append(element('h3', '', heading));
  for (const name of names) show(name, place);
}

function legend() {
  const place = document.getElementById('legend');
  if (!place) return;
  classes.forEach((name, id) => {
    const chip = element('button', 'chip'), square = element('i');
    square.style.background = `rgb(${palette[id]})`;
    chip.append(square, name);
    chip.setAttribute('aria-pressed', 'false');
    chip.addEventListener('click', () => {
      chosen = chosen === id ? null : id;
      place.querySelectorAll('.chip').forEach(
        (other, number) => other.setAttribute('aria-pressed', String(number === chosen)));
      drawings.forEach(draw => draw());
    });
    place.append(chip);
  });
}

legend();
list('worst', 'Lowest mIoU', image => image.worst);
list('drawn', 'Drawn at random', image => image.drawn);
