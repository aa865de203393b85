/** The same by gdb on QEMU's stub. */

import { statSync } from 'node:fs'
import { join } from 'node:path'
import { gdbOnQemu } from '../gdb-on-qemu.ts'
import { CALLS, FRAMES, INTERPRETER, MEMORY_READ, NESTED, type SessionGuest, STACKS, STORES, TOUR } from './guests.ts'

/** Evaluations, hits and steps that gdb is given: seconds. */
const HITS = 300
const STEPS = 2000
const LINES = 300
/** Bytes from {@link MEMORY_READ} on. */
const DUMP = 8 * 2 ** 20

/** A directory for its scripts. */
export class Gdb {
  readonly #scratch: string

  constructor(scratch: string) {
    this.#scratch = scratch
  }

  /** Seconds between clocks that are printed before and after each list of commands. */
  async #seconds(guest: SessionGuest, before: readonly string[], ...measured: readonly string[][]): Promise<number[]> {
    const clock = 'shell date +CLOCK%s.%N'
    const commands = [...before, clock, ...measured.flatMap(each => [...each, clock])]
    const text = await gdbOnQemu(guest, commands, this.#scratch)
    const clocks = [...text.matchAll(/CLOCK([\d.]+)/g)].map(match => Number(match[1]))
    if (clocks.length !== measured.length + 1) throw new Error(`gdb did not finish: ${text.slice(-500)}`)
    return measured.map((_, index) => clocks[index + 1] - clocks[index])
  }

  /** An evaluation is a stop, and gdb's question on its own machine. */
  async conditions(): Promise<number> {
    const stop = ['set $n = 0', 'hbreak fibonacci', 'continue']
    const [seconds] = await this.#seconds(CALLS, stop, [`condition 1 $n++ == ${HITS}`, 'continue'])
    return HITS / seconds
  }

  async instructionSteps(): Promise<number> {
    const [seconds] = await this.#seconds(CALLS, ['hbreak fibonacci', 'continue', 'delete'], [`stepi ${STEPS}`])
    return STEPS / seconds
  }

  async lineSteps(): Promise<number> {
    const [seconds] = await this.#seconds(TOUR, ['hbreak print', 'continue', 'delete'], [`step ${LINES}`])
    return LINES / seconds
  }

  /** Changes, as gdb counts the hits of `watch`. */
  async watchpointHits(word: bigint): Promise<number> {
    const watch = [`watch *(long *)0x${word.toString(16)}`, `condition 2 $n++ == ${HITS}`]
    const before = ['set $n = 0', 'hbreak interpret', 'continue', 'delete', ...watch]
    const [seconds] = await this.#seconds(INTERPRETER, before, ['continue'])
    return HITS / seconds
  }

  /** Mebibytes a second. */
  async memoryReads(): Promise<number> {
    const file = join(this.#scratch, 'memory.bin')
    const dump = `dump binary memory ${file} ${MEMORY_READ.address} ${MEMORY_READ.address + DUMP}`
    const [seconds] = await this.#seconds(STORES, ['hbreak sieve', 'continue', 'delete'], [dump])
    return statSync(file).size / 2 ** 20 / seconds
  }

  /** Milliseconds, the median: what a step has asked of the stack already is not counted. */
  async stopToStack(): Promise<number> {
    const measure = [
      ...[
        'python',
        'import time',
        'spent = []',
        `for _ in range(${STACKS}):`,
        "  gdb.execute('stepi', to_string=True)",
      ],
      ...['  start = time.perf_counter()', `  gdb.execute('backtrace ${FRAMES}', to_string=True)`],
      ...['  spent.append(time.perf_counter() - start)', "print('MEDIAN%f' % sorted(spent)[len(spent) // 2])", 'end'],
    ]
    const text = await gdbOnQemu(TOUR, [`hbreak ${NESTED}`, 'continue', 'delete', ...measure], this.#scratch)
    const seconds = /MEDIAN([\d.]+)/.exec(text)?.[1]
    if (seconds === undefined) throw new Error(`gdb did not finish: ${text.slice(-500)}`)
    return Number(seconds) * 1000
  }
}
