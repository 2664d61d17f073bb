/** A line plot as SVG: crowd size on a logarithmic axis, shares of plain HTTP from 0 to 1. */

export interface Series {
  name: string;
  points: [number, number][];
  dashed?: boolean;
}

const width = 720;
const height = 360;
const left = 56;
const bottom = 40;
const right = 190;
const top = 16;
const colours = ['#0b7285', '#e8590c', '#0b7285', '#e8590c'];

export function plot(series: Series[]): string {
  const sizes = series.flatMap(({ points }) => points.map(([size]) => size));
  const [least, most] = [Math.log10(Math.min(...sizes)), Math.log10(Math.max(...sizes))];
  const scale = (width - left - right) / (most - least || 1);
  const x = (size: number): number => left + (Math.log10(size) - least) * scale;
  const y = (share: number): number => top + (1 - Math.min(share, 1)) * (height - top - bottom);
  const parts: string[] = [];
  for (let i = 0; i <= 4; i++) {
    const share = i / 4;
    parts.push(`<path d="M${left} ${y(share)}H${width - right}" stroke="#8884"/>`);
    parts.push(`<text x="${left - 8}" y="${y(share) + 4}" text-anchor="end">${share}</text>`);
  }
  for (let power = Math.ceil(least); power <= most; power++) {
    const at = x(10 ** power).toFixed(1);
    const label = (10 ** power).toLocaleString('en');
    parts.push(`<text x="${at}" y="${height - bottom + 18}" text-anchor="middle">${label}</text>`);
  }
  parts.push(`<text x="${(left + width - right) / 2}" y="${height - 6}" text-anchor="middle">visitors</text>`);
  for (const [i, { name, points, dashed }] of series.entries()) {
    const places = points.map(([size, share]) => `${x(size).toFixed(1)} ${y(share).toFixed(1)}`);
    const path = `M${places.join('L')}`;
    const dash = dashed ? ' stroke-dasharray="5 4"' : '';
    const colour = colours[i % colours.length];
    parts.push(`<path d="${path}" fill="none" stroke="${colour}" stroke-width="2"${dash}/>`);
    const legend = top + 12 + i * 20;
    parts.push(`<path d="M${width - right + 12} ${legend}h24" stroke="${colour}" stroke-width="2"${dash}/>`);
    parts.push(`<text x="${width - right + 42}" y="${legend + 4}">${name}</text>`);
  }
  const style = 'font:12px system-ui,sans-serif;fill:#888';
  const open = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" style="${style}">`;
  return [open, ...parts, '</svg>', ''].join('\n');
}
