import { beforeEach, describe, expect, test } from 'vitest'
import { I8042 } from '../../../src/devices/i8042/i8042.ts'
import { KEY_NAMES, scancodes } from '../../../src/devices/i8042/key-codes.ts'
import { strokesFor } from '../../../src/devices/i8042/us-layout.ts'
import { Bench, ProbeLine } from '../bench.ts'

const DATA = 0x60
const COMMAND = 0x64

let bench: Bench
let keyboardLine: ProbeLine
let mouseLine: ProbeLine
let resets: number
let a20: boolean[]
let controller: I8042

beforeEach(() => {
  bench = new Bench()
  keyboardLine = new ProbeLine()
  mouseLine = new ProbeLine()
  resets = 0
  a20 = []
  controller = new I8042({
    keyboardInterrupt: keyboardLine,
    mouseInterrupt: mouseLine,
    onReset: () => {
      resets++
    },
    onA20: enabled => a20.push(enabled),
  })
  controller.attach(bench.bus)
})

function command(value: number, parameter?: number): void {
  bench.out(COMMAND, value)
  if (parameter !== undefined) bench.out(DATA, parameter)
}

/** All bytes in the output buffer, with mouse bytes marked by 0x100. */
function drain(): number[] {
  const bytes: number[] = []
  for (;;) {
    const status = bench.in(COMMAND)
    if (!(status & 1)) return bytes
    bytes.push(bench.in(DATA) | (status & 0x20 ? 0x100 : 0))
  }
}

describe('the controller', () => {
  test('passes its self test and those of its ports', () => {
    for (const [test, result] of [
      [0xaa, 0x55],
      [0xab, 0x00],
      [0xa9, 0x00],
    ]) {
      command(test)
      expect(drain()).toEqual([result])
    }
  })

  test('keeps its configuration byte and RAM', () => {
    command(0x20)
    expect(drain()).toEqual([0x47])
    command(0x60, 0x74)
    command(0x7f, 0x12)
    command(0x20)
    expect(drain()).toEqual([0x74])
    command(0x3f)
    expect(drain()).toEqual([0x12])
  })

  test('shows enabling and disabling of its ports in the configuration byte', () => {
    const states = [0xad, 0xa7, 0xae, 0xa8].map(value => {
      command(value)
      command(0x20)
      return drain()[0] & 0x30
    })
    expect(states).toEqual([0x10, 0x30, 0x20, 0x00])
  })

  test('tells commands from data in its status', () => {
    command(0xae)
    expect(bench.in(COMMAND)).toBe(0x1c)
    bench.out(DATA, 0xee)
    expect(bench.in(COMMAND)).toBe(0x15)
  })

  test('loops a byte back as if the mouse had sent it, with its interrupt', () => {
    command(0xd3, 0x5a)
    expect([mouseLine.level, keyboardLine.level, drain()]).toEqual([true, false, [0x15a]])
    expect(mouseLine.level).toBe(false)
    command(0xd2, 0x1e)
    expect([keyboardLine.level, drain()]).toEqual([true, [0x1e]])
  })

  test('switches A20 by commands and by the output port', () => {
    command(0xdd)
    command(0xd0)
    expect(drain()[0] & 0x03).toBe(0x01)
    command(0xd1, 0xdf)
    command(0xd0)
    expect([drain()[0] & 0x03, a20]).toEqual([0x03, [false, true]])
  })

  test('resets the processor by a pulse and by the output port', () => {
    command(0xff)
    expect(resets).toBe(0)
    command(0xfe)
    expect(resets).toBe(1)
    command(0xd1, 0x02)
    expect(resets).toBe(2)
  })
})

describe('the keyboard', () => {
  test('resets, identifies itself, and echoes', () => {
    bench.out(DATA, 0xff)
    expect(drain()).toEqual([0xfa, 0xaa])
    command(0x60, 0x01)
    bench.out(DATA, 0xf2)
    expect(drain()).toEqual([0xfa, 0xab, 0x83])
    bench.out(DATA, 0xee)
    expect(drain()).toEqual([0xee])
    bench.out(DATA, 0xfe)
    expect(drain()).toEqual([0xee])
  })

  test('identifies itself translated when translation is on, as Linux expects', () => {
    bench.out(DATA, 0xf2)
    expect(drain()).toEqual([0xfa, 0xab, 0x41])
  })

  test('takes LEDs, rate and scan code set with their parameters', () => {
    for (const byte of [0xed, 0x05, 0xf3, 0x20, 0xf0, 0x01]) {
      bench.out(DATA, byte)
      expect(drain()).toEqual([0xfa])
    }
    bench.out(DATA, 0xf0)
    drain()
    command(0x60, 0x01)
    bench.out(DATA, 0x00)
    expect(drain()).toEqual([0xfa, 0x01])
    expect(controller.registers().find(view => view.name === 'LEDs')?.value).toBe(5)
  })

  test('asks for what it does not know again', () => {
    bench.out(DATA, 0x12)
    expect(drain()).toEqual([0xfe])
  })

  test('sends keys translated to set 1, an interrupt for each byte', () => {
    // A pressed and released, then the right arrow.
    controller.typeScancodes(Uint8Array.of(0x1c, 0xf0, 0x1c, 0xe0, 0x74, 0xe0, 0xf0, 0x74))
    expect(keyboardLine.level).toBe(true)
    expect(drain()).toEqual([0x1e, 0x9e, 0xe0, 0x4d, 0xe0, 0xcd])
    expect([keyboardLine.level, keyboardLine.edges]).toEqual([false, 6])
  })

  test('sends keys as they are without translation', () => {
    command(0x60, 0x01)
    controller.typeScancodes(Uint8Array.of(0xf0, 0x1c))
    expect(drain()).toEqual([0xf0, 0x1c])
  })

  test('keeps keys while its interface is disabled and drops them while it is', () => {
    command(0xad)
    controller.typeScancodes(Uint8Array.of(0x1c))
    expect(drain()).toEqual([])
    command(0xae)
    expect(drain()).toEqual([0x1e])
    bench.out(DATA, 0xf5)
    drain()
    controller.typeScancodes(Uint8Array.of(0x1c))
    expect(drain()).toEqual([])
    bench.out(DATA, 0xf4)
    expect(drain()).toEqual([0xfa])
  })

  test('takes no more keys than it can keep', () => {
    expect(controller.typeScancodes(new Uint8Array(10_000))).toBe(4096)
  })

  test('raises no interrupt when it is switched off', () => {
    command(0x60, 0x40)
    controller.typeScancodes(Uint8Array.of(0x1c))
    expect([keyboardLine.edges, bench.in(DATA)]).toEqual([0, 0x1e])
  })
})

describe('the mouse', () => {
  function mouse(value: number): number[] {
    command(0xd4, value)
    return drain().map(byte => byte & ~0x100)
  }

  test('resets, identifies itself and is enabled, through its own interrupt', () => {
    expect(mouse(0xff)).toEqual([0xfa, 0xaa, 0x00])
    expect(mouse(0xf2)).toEqual([0xfa, 0x00])
    expect(mouse(0xf4)).toEqual([0xfa])
    expect([mouseLine.edges, keyboardLine.edges]).toEqual([6, 0])
  })

  test('tells its settings', () => {
    for (const byte of [0xe8, 0x03, 0xf3, 40, 0xe7, 0xf4]) expect(mouse(byte)).toEqual([0xfa])
    expect(mouse(0xe9)).toEqual([0xfa, 0x30, 0x03, 40])
    expect(mouse(0xf6)).toEqual([0xfa])
    expect(mouse(0xe9)).toEqual([0xfa, 0x00, 0x02, 100])
  })

  test('reports no movement, echoes in wrap mode, rejects nonsense', () => {
    expect(mouse(0xeb)).toEqual([0xfa, 0x08, 0, 0])
    expect(mouse(0xee)).toEqual([0xfa])
    expect(mouse(0x42)).toEqual([0x42])
    expect(mouse(0xec)).toEqual([0xfa])
    expect(mouse(0x42)).toEqual([0xfe])
  })
})

describe('keys of the host', () => {
  const press = (code: string): void => {
    for (const down of [true, false]) expect(controller.typeKey({ code, down })).toBe(true)
  }

  test('arrive in scan code set 1, as the controller translates them', () => {
    press('KeyA')
    press('ArrowUp')
    expect(drain()).toEqual([0x1e, 0x9e, 0xe0, 0x48, 0xe0, 0xc8])
    press('PrintScreen')
    expect(drain()).toEqual([0xe0, 0x2a, 0xe0, 0x37, 0xe0, 0xb7, 0xe0, 0xaa])
    press('Pause')
    expect(drain()).toEqual([0xe1, 0x1d, 0x45, 0xe1, 0x9d, 0xc5])
  })

  test('arrive in the set that the guest has chosen, when nothing translates', () => {
    command(0x60, 0x04)
    press('ArrowUp')
    expect(drain()).toEqual([0xe0, 0x75, 0xe0, 0xf0, 0x75])
    bench.out(DATA, 0xf0)
    bench.out(DATA, 0x01)
    expect(drain()).toEqual([0xfa, 0xfa])
    press('ArrowUp')
    expect(drain()).toEqual([0xe0, 0x48, 0xe0, 0xc8])
  })

  test('are each taken as a whole or not at all', () => {
    let taken = 0
    while (controller.typeKey({ code: 'ArrowUp', down: false })) taken++
    expect(drain().length).toBe(taken * 2)
    expect(taken).toBeGreaterThan(1000)
  })

  test('reach a guest that listens, and otherwise it is said why not', () => {
    expect(controller.deafness).toBeUndefined()
    command(0xad)
    expect(controller.deafness).toMatch(/keys wait/)
    press('KeyA')
    expect(drain()).toEqual([])
    command(0xae)
    expect(drain()).toEqual([0x1e, 0x9e])
    bench.out(DATA, 0xf5)
    expect(controller.deafness).toMatch(/keys are lost/)
    press('KeyA')
    expect(drain()).toEqual([0xfa])
    bench.out(DATA, 0xf0)
    bench.out(DATA, 0x03)
    bench.out(DATA, 0xf4)
    drain()
    expect(controller.deafness).toMatch(/set 3/)
    press('KeyA')
    expect(drain()).toEqual([])
  })

  test('have names, and no others', () => {
    for (const code of KEY_NAMES)
      for (const set of [1, 2] as const) expect(scancodes({ code, down: true }, set).length).toBeGreaterThan(0)
    const makes = KEY_NAMES.map(code => scancodes({ code, down: true }, 1).join())
    expect(new Set(makes).size).toBe(KEY_NAMES.length)
    for (const code of ['Fn', 'constructor', '']) expect(() => press(code)).toThrow(`there is no key "${code}"`)
  })

  test('type every printable character of a US keyboard', () => {
    for (let code = 0x20; code < 0x7f; code++) expect(strokesFor(String.fromCharCode(code))).toBeDefined()
    expect(strokesFor('A')?.map(({ code, down }) => `${code} ${down}`)).toEqual([
      ...['ShiftLeft true', 'KeyA true', 'KeyA false', 'ShiftLeft false'],
    ])
    expect(strokesFor('ä')).toBeUndefined()
  })
})
