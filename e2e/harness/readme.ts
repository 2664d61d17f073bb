/** The README's commands, read from the README itself, so that what it promises is what is tested. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { root } from './planktos.ts';

/** The shell blocks of README.md in order; `quickStart` is the one between the markers. */
export async function readmeCommands(): Promise<{ blocks: string[]; quickStart: string }> {
  const text = await readFile(join(root, 'README.md'), 'utf8');
  const blocks = [...text.matchAll(/^```sh\n([\s\S]*?)^```$/gm)].map((match) => match[1]!.trim());
  const quickStart = /<!-- quick start -->\s*```sh\n([\s\S]*?)^```\s*<!-- \/quick start -->/m.exec(text);
  if (quickStart === null)
    throw new Error('README.md has no block between <!-- quick start --> and <!-- /quick start -->');
  return { blocks, quickStart: quickStart[1]!.trim() };
}
