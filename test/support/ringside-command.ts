/** Runs the `ringside` command from source, as a user would. */

import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const MAIN = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url))

export interface CommandResult {
  readonly status: number | null
  readonly stdout: string
  readonly stderr: string
}

/** Called with all output so far whenever more has come; writes to the command's standard input. */
export type Conversation = (output: string, write: (text: string) => void) => void

/**
 * Runs `ringside ...args` to its end. Standard input is empty without a conversation, and open until the end with one.
 */
export function ringside(args: readonly string[], conversation?: Conversation): Promise<CommandResult> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [MAIN, ...args], {
      stdio: [conversation === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
    })
    let stdout = ''
    let stderr = ''
    child.stdout?.setEncoding('latin1').on('data', (text: string) => {
      stdout += text
      conversation?.(stdout, input => child.stdin?.write(input))
    })
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      stderr += text
    })
    child.on('error', reject)
    child.on('close', status => resolve({ status, stdout, stderr }))
  })
}

/** The `instructions` of a file that `--stats` wrote. */
export function instructionsIn(statistics: string): number {
  const content: unknown = JSON.parse(readFileSync(statistics, 'utf8'))
  if (typeof content !== 'object' || content === null || !('instructions' in content)) {
    throw new Error(`${statistics}: no count of instructions`)
  }
  return Number(content.instructions)
}
