/** Runs a program and takes its time. */

import { spawn } from 'node:child_process'

export interface Command {
  readonly program: string
  readonly arguments: readonly string[]
}

export interface Run {
  /** Wall time from start to the end, or to the awaited text. */
  readonly seconds: number
  readonly output: string
  readonly status: number | undefined
}

/** No run of the benchmark takes longer, or something is wrong. */
const LIMIT_SECONDS = 600

/**
 * Runs `command` to its end. With `until` the clock stops when that text appears in the output; the program gets a
 * moment to end by itself and is stopped then. Rejects when it can't be started or the text never comes.
 */
export function time(command: Command, until?: string): Promise<Run> {
  return new Promise((resolve, reject) => {
    const start = performance.now()
    const child = spawn(command.program, command.arguments, { stdio: ['ignore', 'pipe', 'pipe'] })
    const limit = setTimeout(() => child.kill(), LIMIT_SECONDS * 1000)
    let output = ''
    let errors = ''
    let seen: number | undefined
    child.stdout.setEncoding('latin1').on('data', (text: string) => {
      output += text
      if (until === undefined || seen !== undefined || !output.includes(until)) return
      seen = performance.now()
      setTimeout(() => child.kill(), 1000).unref()
    })
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      errors += text
    })
    child.on('error', reject)
    child.on('close', status => {
      clearTimeout(limit)
      if (until !== undefined && seen === undefined) {
        reject(new Error(`${describe(command)} ended (${status}) without printing "${until}": ${errors.slice(-2000)}`))
        return
      }
      resolve({
        seconds: ((seen ?? performance.now()) - start) / 1000,
        output: output + errors,
        status: status ?? undefined,
      })
    })
  })
}

export function describe(command: Command): string {
  return [command.program, ...command.arguments].join(' ')
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

export function geometricMean(values: readonly number[]): number {
  return Math.exp(values.reduce((sum, value) => sum + Math.log(value), 0) / values.length)
}
