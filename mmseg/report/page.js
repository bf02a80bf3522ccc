'use strict';
// Draws the images that the page carries; needs panels.js.
const results = JSON.parse(document.getElementById('data').textContent).results;
const classes = results[0].classes, palette = results[0].palette;
const drawings = [];  // what to draw again when another class is chosen

const percent = value => value === null ? '–' : (100 * value).toFixed(1);

function painters(loaded) {
  const {photograph, truth, runs} = loaded;
  const all = [photo(photograph), faded(truth.values, photograph)];
  for (const run of runs) {
    const wrong = i => truth.values[i] !== UNKNOWN && truth.values[i] !== run.prediction.values[i]
      && (chosen === null || chosen === truth.values[i] || chosen === run.prediction.values[i]);
    all.push(faded(run.prediction.values, photograph), i => wrong(i) ? WRONG : grey(photograph, i),
             i => viridis(run.confidence.values[i] / 255));
  }
  return all;
}

function lines(loaded, i) {
  const all = [line(`truth: ${nameOf(loaded.truth.values[i])}`, loaded.truth.values[i])];
  for (const run of loaded.runs) {
    const id = run.prediction.values[i], sure = Math.round(run.confidence.values[i] / 2.55);
    all.push(line(`${run.title('prediction')}: ${nameOf(id)}, ${sure} %`, id));
  }
  return all;
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
  follow(panels, i => lines(loaded, i));
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

const place = document.getElementById('legend');
if (place) legend(place, () => drawings.forEach(draw => draw()));
list('worst', 'Lowest mIoU', image => image.worst);
list('drawn', 'Drawn at random', image => image.drawn);
