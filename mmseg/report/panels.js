'use strict';
// Pictures of predictions that are drawn in the page, and the class that the pointer is on. A page that uses this says
// `classes` and `palette`, and has an element `tip`.
const UNKNOWN = 255, WRONG = [220, 40, 40];
const VIRIDIS = [[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [253, 231, 37]];
const tip = document.getElementById('tip');
let chosen = null;

function element(kind, className, text) {
  const made = document.createElement(kind);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

const nameOf = id => id === UNKNOWN ? 'not labelled' : classes[id] ?? `class ${id}`;
const colourOf = id => palette[id] ?? [0, 0, 0];

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

const photo = ({data}) => i => [data[4 * i], data[4 * i + 1], data[4 * i + 2]];

function grey(photograph, i) {
  const data = photograph.data;
  const value = 40 + 0.45 * (data[4 * i] + data[4 * i + 1] + data[4 * i + 2]) / 3;
  return [value, value, value];
}

// The colours of a map of ids; but of the chosen class, if there is one, of no other.
const faded = (id, photograph) => i => chosen === null || id[i] === chosen ? colourOf(id[i]) : grey(photograph, i);

function panel(title) {
  const figure = element('figure', 'panel'), canvas = element('canvas');
  figure.append(canvas, element('figcaption', '', title));
  return figure;
}

function chip(kind, id) {
  const made = element(kind, 'chip'), square = element('i');
  square.style.background = `rgb(${colourOf(id)})`;
  made.append(square, nameOf(id));
  return made;
}

function line(label, id) {
  const made = element('div'), square = element('i');
  square.style.background = `rgb(${colourOf(id)})`;
  made.append(square, label);
  return made;
}

function point(event, panels, lines) {
  const canvas = event.target, box = canvas.getBoundingClientRect();
  const x = (event.clientX - box.left) / box.width, y = (event.clientY - box.top) / box.height;
  const place = (part, size) => Math.min(size - 1, Math.max(0, Math.floor(part * size)));
  tip.replaceChildren(...lines(place(y, canvas.height) * canvas.width + place(x, canvas.width)));
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

// While the pointer is on one of the panels, mark its place on all and show what `lines` says of that pixel.
function follow(panels, lines) {
  for (const canvas of panels.flatMap(figure => [...figure.querySelectorAll('canvas')])) {
    canvas.addEventListener('pointermove', event => point(event, panels, lines));
    canvas.addEventListener('pointerleave', () => leave(panels));
  }
}

function legend(place, redraw) {
  classes.forEach((_, id) => {
    const button = chip('button', id);
    button.setAttribute('aria-pressed', 'false');
    button.addEventListener('click', () => {
      chosen = chosen === id ? null : id;
      place.querySelectorAll('.chip').forEach(
        (other, number) => other.setAttribute('aria-pressed', String(number === chosen)));
      redraw();
    });
    place.append(button);
  });
}
