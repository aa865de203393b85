/** What is measured, and where: the same guests and places for Ringside's debugger, its adapter and gdb. */

import { fileURLToPath } from 'node:url'

export interface SessionGuest {
  readonly image: string
  readonly commandLine: string
  readonly initrd?: string
}

const BENCH = fileURLToPath(new URL('../../../guests/prebuilt/bench.elf', import.meta.url))

/** Recursive calls of `fibonacci` without end, as far as this goes. */
export const CALLS: SessionGuest = { image: BENCH, commandLine: 'loop=fib n=60' }
/** The same with an end, and calls of `fibonacci` until then: twice the 32nd Fibonacci number, less one. */
export const COUNTED_CALLS: SessionGuest = { image: BENCH, commandLine: 'loop=fib n=31' }
export const CALLS_COUNTED = 2 * 2_178_309 - 1
/** Stores to a megabyte. */
export const STORES: SessionGuest = { image: BENCH, commandLine: 'loop=sieve n=1000000' }
/** A bytecode interpreter: its `stack[1]` changes several times in each of its rounds of a hundred instructions. */
export const INTERPRETER: SessionGuest = { image: BENCH, commandLine: 'loop=interpreter n=4000000000' }
/** Where that is when `interpret` begins. */
export const HOT_WORD = '$rsp - 512'
export const HOT_WORD_BYTES = 8

/** C, assembly and three rings: what people step through. */
export const TOUR: SessionGuest = {
  image: fileURLToPath(new URL('../../../guests/prebuilt/tour.elf', import.meta.url)),
  commandLine: '',
}

/** Where memory is read from: a megabyte of the loaded image and what follows it. */
export const MEMORY_READ = { address: 0x10_0000, bytes: 2 ** 20 }

/** Bytes of one request to read memory, as an editor makes them. */
export const ONE_READ = 2 ** 16

/** Where stacks are asked for after each of some steps: in a function of {@link TOUR} that `kernel_main` calls through another. */
export const NESTED = 'map_page'
export const STACKS = 200
/** Frames that are asked for. */
export const FRAMES = 20

/** Steps by line before those that count: V8 compiles what it executes meanwhile, and a busy machine takes it long. */
export const WARM_UP = 2000

/** Wall time that each measurement of ours takes at least. */
export const MILLISECONDS = 2000
/** And time of the processor, so that a busy machine shows more than a program that V8 has yet to compile. */
const PROCESSOR_MILLISECONDS = 1500
const LONGEST = 5 * MILLISECONDS

/** The time in which something is done again and again. */
export class Window {
  readonly #start = performance.now()
  readonly #used = process.cpuUsage()

  get isOpen(): boolean {
    const elapsed = performance.now() - this.#start
    if (elapsed < MILLISECONDS) return true
    const { user, system } = process.cpuUsage(this.#used)
    return elapsed < LONGEST && (user + system) / 1000 < PROCESSOR_MILLISECONDS
  }

  perSecond(count: number): number {
    return (count / (performance.now() - this.#start)) * 1000
  }
}
