// A module: draws the gallery from its data, so that the page needs fetch, JSON and images made by script.
import { plate } from './plate.mjs';

const list = document.querySelector('.plates');
const response = await fetch(new URL('specimens.json', import.meta.url));
const specimens = await response.json();
list.replaceChildren(...specimens.map(plate));
