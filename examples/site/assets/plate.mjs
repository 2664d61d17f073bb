/** One specimen of the gallery as a list item. */
export function plate({ file, name, group, note }) {
  const item = document.createElement('li');
  item.className = 'plate';
  const image = new Image(880, 880);
  image.src = new URL(`../pictures/${file}`, import.meta.url);
  image.alt = `${name}: ${note}`;
  const caption = document.createElement('div');
  caption.className = 'caption';
  const kind = document.createElement('em');
  kind.textContent = group;
  caption.append(name, kind);
  item.append(image, caption);
  return item;
}
