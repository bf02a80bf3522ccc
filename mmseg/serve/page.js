'use strict';
// Sends files and shows what the networks see in them; needs panels.js.
const {names, classes, palette, limits, suffixes} = JSON.parse(document.getElementById('data').textContent);
const at = id => document.getElementById(id);
const several = names.length > 1;
const COLOURS = ['#2f6fde', '#e0662b'];  // of the networks
let frames = [];  // the answers so far, one for each frame; an image is one frame
let notes = [];
let shown = null;  // the decoded answer that is on the panels
let asked = 0;  // the frame that is, or will be, on the panels
let running = null;  // the request that is being answered
let playing = false;
let file = null;

const percent = value => (100 * value).toFixed(1);
const wait = milliseconds => new Promise(done => setTimeout(done, milliseconds));

function overlay(title) {
  const figure = panel(title);
  figure.lastChild.before(element('canvas', 'over'));
  return figure;
}

const photograph = panel('photograph');
const differences = panel('where they differ: red');
const predictions = names.map(name => overlay(several ? `${name}: prediction` : 'prediction'));
const confidences = names.map(name => panel(several ? `${name}: confidence` : 'confidence, from dark (0) to bright (1)'));
const rows = [[photograph, ...predictions], [...(several ? [differences] : []), ...confidences]];

async function decoded(answer) {
  const networks = await Promise.all(answer.networks.map(async network => ({
    ...network, ids: (await map(network.ids)).values, confidence: (await map(network.confidence)).values})));
  return {...answer, networks, photograph: await pixels(answer.photograph)};
}

function draw() {
  if (!shown) return;
  const {photograph: image, networks} = shown, {width, height} = image;
  const on = (figure, place, colour) => paint(figure.querySelectorAll('canvas')[place], width, height, colour);
  on(photograph, 0, photo(image));
  networks.forEach(({ids, confidence}, number) => {
    on(predictions[number], 0, photo(image));
    on(predictions[number], 1, faded(ids, image));
    on(confidences[number], 0, i => viridis(confidence[i] / 255));
  });
  if (several) {
    const [first, second] = networks.map(({ids}) => ids);
    on(differences, 0, i => first[i] !== second[i] && (chosen === null || [first[i], second[i]].includes(chosen))
      ? WRONG : grey(image, i));
  }
}

function lines(i) {
  return shown.networks.map(({ids, confidence}, number) => line(
    `${several ? `${names[number]}: ` : ''}${nameOf(ids[i])}, ${Math.round(confidence[i] / 2.55)} %`, ids[i]));
}

function describe() {
  const {size, networks, photograph: {width, height}} = shown;
  const all = [`${file.name}: ${size.join(' x ')} pixels`
    + (width < size[0] ? `, shown as ${width} x ${height}` : '')];
  networks.forEach(({sure, seconds}, number) => all.push(
    `${several ? `${names[number]}: ` : ''}mean confidence ${percent(sure)} %, ${seconds.toFixed(2)} s`));
  if (several) {
    const [first, second] = networks.map(({ids}) => ids);
    const same = first.reduce((count, id, i) => count + (id === second[i]), 0);
    all.push(`the same class for ${percent(same / first.length)} % of the pixels`);
  }
  at('state').textContent = [all.join(' · '), ...notes].join('\n');
}

function bar(share, colour) {
  const track = element('div', 'track'), filled = element('div', 'bar');
  filled.style.width = `${100 * share}%`;
  filled.style.background = colour;
  track.append(filled, element('span', '', percent(share)));
  return track;
}

function tabulate() {
  const shares = shown.networks.map(network => network.shares);
  const largest = classes.map((_, id) => Math.max(...shares.map(share => share[id])));
  const table = element('table', 'ious'), head = table.createTHead().insertRow(), body = table.createTBody();
  head.append(element('th', '', 'class'), element('th', '', 'share of the pixels, %'));
  for (const id of [...classes.keys()].filter(id => largest[id] > 0).sort((a, b) => largest[b] - largest[a])) {
    const row = body.insertRow(), name = element('th'), bars = element('td', 'bars');
    name.append(chip('span', id));
    bars.append(...shares.map((share, number) => bar(
      share[id], several ? COLOURS[number] : `rgb(${colourOf(id)})`)));
    row.append(name, bars);
  }
  const key = element('div', 'chips');
  if (several) names.forEach((name, number) => {
    const entry = element('span', 'chip'), square = element('i');
    square.style.background = COLOURS[number];
    entry.append(square, name);
    key.append(entry);
  });
  at('shares').replaceChildren(key, table);
}

async function show(number) {
  asked = number;
  const answer = frames[number], ready = await decoded(answer);
  if (frames[asked] !== answer) return;  // another one has been asked for meanwhile
  shown = ready;
  draw();
  describe();
  tabulate();
  at('controls').hidden = at('panels').hidden = at('shares').hidden = false;
  at('frame').value = number;
  at('number').textContent = `${number + 1} of ${Math.max(frames.length, answer.count ?? 0)}`;
  at('panels').dataset.frame = number;
}

async function play() {
  if (playing) {
    playing = false;
    return;
  }
  playing = true;
  at('play').textContent = 'pause';
  if (asked === frames.length - 1) asked = -1;
  while (playing && asked < frames.length - 1) {
    const next = asked + 1;
    await Promise.all([show(next), wait(1000 / frames[next].rate)]);
  }
  playing = false;
  at('play').textContent = 'play';
}

function fail(message) {
  at('error').textContent = message;
  at('error').hidden = false;
}

function begin(chosenFile) {
  running?.abort();
  file = chosenFile;
  frames = [];
  notes = [];
  shown = null;
  playing = false;
  at('state').textContent = '';
  at('error').hidden = at('controls').hidden = at('film').hidden = at('panels').hidden = at('shares').hidden = true;
}

function take(answer) {
  if (answer.error) fail(answer.error);
  if (answer.note) notes.push(answer.note);
  if (!answer.photograph) return shown && describe();
  frames.push(answer);
  const last = frames.length - 1;
  if ('rate' in answer) {
    at('film').hidden = false;
    at('frame').max = last;
  }
  if (!playing && (last === 0 || asked === last - 1)) return show(last);  // unless an earlier frame is being looked at
  at('number').textContent = `${asked + 1} of ${Math.max(frames.length, answer.count ?? 0)}`;
}

async function* answers(stream) {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  for (;;) {
    const {value, done} = await reader.read();
    if (done) return;
    const complete = (rest + value).split('\n');
    rest = complete.pop();
    for (const text of complete) yield JSON.parse(text);
  }
}

function problem(candidate) {
  const name = candidate.name.toLowerCase();
  if (!suffixes.some(suffix => name.endsWith(suffix))) {
    return `${candidate.name} is neither image nor video by its name: known are ${suffixes.join(', ')}`;
  }
  const megabytes = candidate.size / 1e6;
  if (megabytes > limits.megabytes) {
    return `${candidate.name} has ${megabytes.toFixed(1)} MB, the limit of this page is ${limits.megabytes}: make it `
      + 'smaller, or start the page with another --max-megabytes';
  }
  return null;
}

async function send(chosenFile) {
  begin(chosenFile);
  const wrong = problem(chosenFile);
  if (wrong) return fail(wrong);
  const request = running = new AbortController();
  at('state').textContent = `${chosenFile.name}: being looked at …`;
  at('stop').hidden = false;
  try {
    const reply = await fetch(`predict?name=${encodeURIComponent(chosenFile.name)}`,
      {method: 'POST', body: chosenFile, signal: request.signal});
    if (!reply.ok) throw new Error((await reply.json()).error);
    for await (const answer of answers(reply.body)) {
      if (request.signal.aborted) return;
      await take(answer);
    }
  } catch (error) {
    if (request.signal.aborted) return;
    if (!shown) at('state').textContent = '';
    fail(error instanceof TypeError ? 'the program does not answer: look at its console' : error.message);
  } finally {
    if (running === request) at('stop').hidden = true;
  }
}

for (const panels of several ? rows : [rows.flat()]) {
  const row = element('div', 'row three');
  row.append(...panels);
  at('panels').append(row);
}
at('panels').hidden = true;
follow(rows.flat(), lines);
legend(at('legend'), draw);
const fade = () => predictions.forEach(figure => figure.querySelector('.over').style.opacity = at('opacity').value / 100);
fade();
at('opacity').addEventListener('input', fade);
at('frame').addEventListener('input', () => { playing = false; show(Number(at('frame').value)); });
at('play').addEventListener('click', play);
at('stop').addEventListener('click', () => { running.abort(); at('stop').hidden = true; });
at('file').addEventListener('change', () => { if (at('file').files.length) send(at('file').files[0]); at('file').value = ''; });
for (const kind of ['dragover', 'dragleave', 'drop']) {
  document.addEventListener(kind, event => {
    event.preventDefault();
    at('drop').classList.toggle('over', kind === 'dragover');
    if (kind === 'drop' && event.dataTransfer.files.length) send(event.dataTransfer.files[0]);
  });
}
