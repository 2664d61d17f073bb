/** What a measurement starts, it ends: the end-to-end tests' harness, outside of a test. */
import type { Scope } from '../../e2e/harness/cleanup.ts';

/** Runs a measurement and closes everything that it registered, whether it succeeded or not. */
export async function scoped<T>(measure: (scope: Scope) => Promise<T>): Promise<T> {
  const closers: Array<() => Promise<void>> = [];
  try {
    return await measure({ after: (close) => void closers.push(close) });
  } finally {
    for (const close of closers.reverse()) await close();
  }
}

/** A scope that ends with the program. */
export async function main(program: (scope: Scope) => Promise<void>): Promise<void> {
  try {
    await scoped(program);
  } catch (error) {
    console.error(error);
    process.exitCode = 1;
  }
}
