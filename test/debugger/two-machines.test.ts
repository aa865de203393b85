/** Two guests debugged on one host: each has its own stops, at addresses that both have. */

import { fileURLToPath } from 'node:url'
import { afterEach, expect, test } from 'vitest'
import type { StopRequest } from '../../src/debugger/stop-request.ts'
import type { GuestEnd, Stop } from '../../src/debugger/target.ts'
import { VmTarget } from '../../src/debugger/vm-target.ts'
import { configure, readImage } from '../../src/machine/configuration.ts'
import { Host } from '../../src/machine/host.ts'
import { Pc } from '../../src/machine/pc.ts'
import { DebugFile } from '../../src/symbols/dwarf/debug-file.ts'

const TOUR = fileURLToPath(new URL('../../guests/prebuilt/tour.elf', import.meta.url))
const MEMORY = 32 * 2 ** 20

const image = readImage(TOUR, 'program')
const symbols = DebugFile.of(TOUR, image.bytes)
const at = (name: string): bigint => symbols.symbolNamed(name)?.address ?? 0n
const code = (id: number, name: string): StopRequest => ({ id, kind: 'code', space: 'linear', address: at(name) })

class Debugged {
  readonly target: VmTarget
  #told: (what: Stop | GuestEnd) => void = () => {}

  constructor(pc: Pc) {
    this.target = new VmTarget(pc)
    this.target.listener = {
      stopped: stop => this.#told(stop),
      ended: end => this.#told(end),
      failed: error => {
        throw error
      },
      output: () => {},
    }
  }

  static async start(host: Host): Promise<Debugged> {
    const outputs = { console: () => {}, debugConsole: () => {} }
    const pc = await Pc.create(configure({ image, memory: MEMORY }), outputs, host)
    pc.boot()
    return new Debugged(pc)
  }

  /** Where it has stopped, or how it ended. */
  async next(): Promise<string> {
    const what = await new Promise<Stop | GuestEnd>(resolve => {
      this.#told = resolve
      this.target.resume()
    })
    if ('status' in what) return what.description
    const [hit] = what.hits ?? []
    return `${hit?.kind ?? what.reason} ${hit?.id ?? ''} at ${this.target.machine.vcpus[0].register('rip').toString(16)}`
  }
}

const stop = (id: number, name: string): string => `code ${id} at ${at(name).toString(16)}`
const guests: Debugged[] = []

afterEach(() => {
  for (const { target } of guests.splice(0)) target.dispose()
})

async function pair(): Promise<[Debugged, Debugged]> {
  const host = await Host.create(configure({ image, memory: MEMORY }).model, MEMORY, MEMORY)
  const [a, b] = [await Debugged.start(host), await Debugged.start(host)]
  guests.push(a, b)
  return [a, b]
}

test('each stops at its own breakpoints only', async () => {
  const [a, b] = await pair()
  a.target.setStops([code(1, 'kernel_main'), code(2, 'map_user_program')])
  b.target.setStops([code(3, 'start_timer'), code(4, 'map_user_program')])
  expect(await b.next()).toBe(stop(3, 'start_timer'))
  expect(await a.next()).toBe(stop(1, 'kernel_main'))
  expect(await b.next()).toBe(stop(4, 'map_user_program'))
  expect(await a.next()).toBe(stop(2, 'map_user_program'))
  b.target.setStops([])
  expect(await b.next()).toBe('The guest powered off.')
  a.target.setStops([code(5, 'handle_system_call')])
  expect(await a.next()).toBe(stop(5, 'handle_system_call'))
})

test('a guest without stops is not stopped by those of the other, nor by what the other watches', async () => {
  const [a, b] = await pair()
  const watched = { space: 'linear', address: at('timer_ticks'), length: 8, access: 'write' } as const
  a.target.setStops([code(1, 'kernel_main'), { id: 2, kind: 'data', ...watched }, { id: 3, kind: 'int3' }])
  expect(await b.next()).toBe('The guest powered off.')
  expect(await a.next()).toBe(stop(1, 'kernel_main'))
  expect(await a.next()).toMatch(/^data 2/)
})

test('a physical address is of one guest', async () => {
  const [a, b] = await pair()
  // The kernel is where it is linked: linear addresses are physical ones.
  a.target.setStops([{ id: 1, kind: 'code', space: 'physical', address: at('kernel_main') }])
  b.target.setStops([{ id: 2, kind: 'code', space: 'physical', address: at('start_timer') }])
  expect(await a.next()).toBe(stop(1, 'kernel_main'))
  expect(await b.next()).toBe(stop(2, 'start_timer'))
})

test('the stops of a guest end with it, and those of the other do not', async () => {
  const [a, b] = await pair()
  a.target.setStops([code(1, 'kernel_main')])
  b.target.setStops([code(2, 'kernel_main')])
  a.target.dispose()
  expect(await b.next()).toBe(stop(2, 'kernel_main'))
})
