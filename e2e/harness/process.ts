/** Child processes: started with their output captured, ended with the test. */
import { spawn } from 'node:child_process';
import type { ChildProcess, SpawnOptions } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { onEnd } from './cleanup.ts';
import type { Scope } from './cleanup.ts';
import { within } from './wait.ts';

export interface Running {
  child: ChildProcess;
  /** everything printed so far, stdout and stderr together, for messages of failure */
  output(): string;
  /** the first line of stdout from now on that the test accepts */
  line(accepts: (line: string) => boolean, timeoutMs?: number): Promise<string>;
  /** asks it to end (SIGINT), and its exit status, or the signal's name */
  stop(signal?: NodeJS.Signals): Promise<number | string>;
}

/** Starts a program that stays up. It leads its own process group, so that nothing it started outlives it. */
export function start(scope: Scope, command: string, args: string[], options: SpawnOptions = {}): Running {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], detached: true, ...options });
  let text = '';
  const lines: string[] = [];
  const waiting = new Set<() => void>();
  let ended: string | undefined;
  const wake = (): void => {
    for (const resume of waiting) resume();
    waiting.clear();
  };
  child.stdout?.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
  child.stderr?.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
  if (child.stdout) {
    createInterface({ input: child.stdout }).on('line', (line) => {
      lines.push(line);
      wake();
    });
  }
  child.on('error', (error) => {
    ended = error.message;
    wake();
  });
  child.on('exit', (code, signal) => {
    ended = `ended with ${code ?? signal}`;
    wake();
  });
  const killGroup = (signal: NodeJS.Signals): void => {
    if (child.pid === undefined) return;
    try {
      process.kill(-child.pid, signal);
    } catch {
      // the group is gone already
    }
  };
  const running: Running = {
    child,
    output: () => text,
    line: (accepts, timeoutMs = 60_000) => {
      let seen = 0;
      const search = async (): Promise<string> => {
        for (;;) {
          while (seen < lines.length) {
            const line = lines[seen++]!;
            if (accepts(line)) return line;
          }
          if (ended !== undefined) throw new Error(`${command} ${args.join(' ')}: ${ended}\n${text}`);
          await new Promise<void>((resume) => waiting.add(resume));
        }
      };
      return within(timeoutMs, `a line from ${command} ${args.join(' ')}\n${text}`, search());
    },
    stop: async (signal = 'SIGINT') => {
      if (child.pid === undefined) return 'not started';
      if (child.exitCode === null && child.signalCode === null) {
        const exit = once(child, 'exit');
        child.kill(signal);
        try {
          await within(45_000, `${command} to end on ${signal}\n${text}`, exit);
        } finally {
          killGroup('SIGKILL');
        }
      }
      return child.exitCode ?? child.signalCode ?? 'unknown';
    },
  };
  onEnd(scope, async () => {
    killGroup('SIGKILL');
    if (child.pid !== undefined && child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  });
  return running;
}

export interface Result {
  status: number | null;
  stdout: string;
  stderr: string;
}

/** Runs a program to its end. Its status is the caller's to judge. */
export async function run(
  command: string,
  args: string[],
  options: SpawnOptions & { timeoutMs?: number; input?: string } = {},
): Promise<Result> {
  const { timeoutMs = 120_000, input, ...rest } = options;
  const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'], ...rest });
  let stdout = '';
  let stderr = '';
  child.stdout?.setEncoding('utf8').on('data', (chunk: string) => (stdout += chunk));
  child.stderr?.setEncoding('utf8').on('data', (chunk: string) => (stderr += chunk));
  child.stdin?.on('error', () => undefined); // a program may end without reading its input
  child.stdin?.end(input ?? '');
  const closed = once(child, 'close') as Promise<[number | null]>;
  try {
    const [status] = await within(timeoutMs, `${command} ${args.join(' ')} to end`, closed);
    return { status, stdout, stderr };
  } catch (error) {
    child.kill('SIGKILL');
    throw error;
  }
}

/** Runs a program that must succeed, and gives its stdout. */
export async function check(command: string, args: string[], options: Parameters<typeof run>[2] = {}): Promise<string> {
  const result = await run(command, args, options);
  if (result.status !== 0) {
    throw new Error(`${command} ${args.join(' ')}: status ${result.status}\n${result.stdout}${result.stderr}`);
  }
  return result.stdout;
}
