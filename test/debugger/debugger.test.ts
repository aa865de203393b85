import { describe, expect, test } from 'vitest'
import type { Breakpoint } from '../../src/debugger/breakpoints.ts'
import { Debugger, type StopReport } from '../../src/debugger/debugger.ts'
import type { LinuxImage } from '../../src/debugger/linux/kernel-tables.ts'
import { SymbolBook } from '../../src/debugger/symbol-book.ts'
import type { GuestEnd } from '../../src/debugger/target.ts'
import { SymbolTable } from '../../src/symbols/symbol-table.ts'
import { FakeTarget, type PathPoint } from '../support/fake-target.ts'
import { kallsymsImage } from '../support/kallsyms-image.ts'

interface Scene {
  readonly target: FakeTarget
  readonly session: Debugger
  readonly resolved: Breakpoint[]
  /** The next stop or the guest's end. */
  next(): Promise<StopReport | GuestEnd>
}

function scene(
  path: readonly (bigint | PathPoint)[],
  symbols: Readonly<Record<string, bigint>> = {},
  kernel?: LinuxImage,
): Scene {
  const target = new FakeTarget(path)
  const book = new SymbolBook()
  const table = Object.entries(symbols).map(([name, address]) => {
    return { name, address, size: 0n, kind: 'function', global: true } as const
  })
  book.add('test', new SymbolTable(table))
  const session = new Debugger(target, book, { image: kernel })
  const resolved: Breakpoint[] = []
  const happened: (StopReport | GuestEnd)[] = []
  let waiting: ((what: StopReport | GuestEnd) => void) | undefined
  const tell = (what: StopReport | GuestEnd): void => {
    if (waiting === undefined) happened.push(what)
    else waiting(what)
    waiting = undefined
  }
  session.listener = {
    stopped: tell,
    ended: tell,
    output: () => {},
    failed: error => {
      throw error
    },
    breakpointsResolved: breakpoints => resolved.push(...breakpoints),
  }
  const next = (): Promise<StopReport | GuestEnd> => {
    const first = happened.shift()
    return first === undefined ? new Promise(resolve => (waiting = resolve)) : Promise.resolve(first)
  }
  return { target, session, resolved, next }
}

describe('breakpoints', () => {
  test('stop the guest at a function by name and say which one was hit', async () => {
    const { session, next } = scene([0x1000n, 0x1001n, 0x2000n, 0x2001n], { main: 0x2000n })
    const [breakpoint] = session.setFunctionBreakpoints(['main'])
    expect(breakpoint.addresses).toEqual([0x2000n])
    session.resume()
    expect(await next()).toEqual({ reason: 'breakpoint', vcpu: 0, breakpoints: [breakpoint.id] })
    expect(session.frame(0)).toEqual({ name: 'main', instructionPointer: 0x2000n })
    session.resume()
    expect(await next()).toMatchObject({ status: 0 })
  })

  test('keep their id when they are set again, and go when they are not', () => {
    const { session, target } = scene([0n], { a: 0x10n, b: 0x20n, c: 0x30n })
    const [a, b] = session.setFunctionBreakpoints(['a', 'b'])
    const [b2, c] = session.setFunctionBreakpoints(['b', 'c'])
    expect(b2.id).toBe(b.id)
    expect(new Set([a.id, b.id, c.id]).size).toBe(3)
    session.setAddressBreakpoints([{ space: 'linear', address: 0x40n }])
    expect([...target.breakpoints]).toEqual([0x20n, 0x30n, 0x40n])
  })

  test('can be an expression over symbols', () => {
    const { session } = scene([0n], { main: 0x2000n })
    expect(session.setFunctionBreakpoints(['main + 4'])[0].addresses).toEqual([0x2004n])
    expect(session.setFunctionBreakpoints(['main + '])[0].message).toContain('ends where a value is expected')
  })

  test('of an unknown name wait for it', () => {
    const { session, target } = scene([0n])
    expect(session.setFunctionBreakpoints(['vfs_read'])[0].message).toContain('no function "vfs_read" is known yet')
    expect(target.breakpoints.size).toBe(0)
  })
})

describe('a Linux kernel without a symbol file', () => {
  const image = kallsymsImage({ vfs_read: 0x2000n, vfs_write: 0x3000n }, { base: 0xffff_ffff_8100_0000n })
  const base = 0xffff_ffff_8100_0000n

  function linux(): Scene {
    const long = scene(
      [
        0x100n,
        {
          rip: 0x1_0000n,
          // What the decompressor leaves behind: the kernel with its tables.
          effect: () => long.target.machine.write(0x1_0000, image),
        },
        { rip: base + 0x2000n, effect: () => long.target.machine.vcpu.longMode(0x1000n).set({ rip: base + 0x2000n }) },
        base + 0x2004n,
      ],
      {},
      { start: 0x1_0000, length: image.length, alignment: 0x20_0000, bits: 64 },
    )
    return long
  }

  test('gives its function names as soon as it is decompressed', async () => {
    const { session, resolved, next, target } = linux()
    const [pending] = session.setFunctionBreakpoints(['vfs_read'])
    expect(pending.addresses).toEqual([])
    session.resume()
    expect(await next()).toMatchObject({ reason: 'breakpoint', breakpoints: [pending.id] })
    expect(resolved).toMatchObject([{ id: pending.id, addresses: [base + 0x2000n] }])
    expect(session.frame(0).name).toBe('vfs_read')
    // The stop at the kernel's entry was ours, and is not set any more.
    expect([...target.breakpoints]).toEqual([base + 0x2000n])
  })

  test('can be stopped at the very entry by the user', async () => {
    const { session, next } = linux()
    session.setAddressBreakpoints([{ space: 'linear', address: 0x1_0000n }])
    session.resume()
    expect(await next()).toMatchObject({ reason: 'breakpoint' })
    expect(session.symbols.describe(base + 0x3001n)).toBe('vfs_write+0x1')
  })
})

describe('stepping', () => {
  // 0x1000: call 0x1010; 0x1005: nop
  const CALL = [0xe8, 0x0b, 0, 0, 0, 0x90]

  function calling(path: readonly (bigint | PathPoint)[]): Scene {
    const made = scene(path)
    made.target.machine.write(0x1000, CALL)
    return made
  }

  test('goes into a call', async () => {
    const { session, next } = calling([0x1000n, 0x1010n, 0x1005n])
    session.stepInto(0)
    expect(await next()).toEqual({ reason: 'step', vcpu: 0, breakpoints: [] })
    expect(session.frame(0).instructionPointer).toBe(0x1010n)
  })

  test('goes over a call, and over calls of itself that come by the same address', async () => {
    const { session, next, target } = calling([
      { rip: 0x1000n, rsp: 0x800n },
      { rip: 0x1010n, rsp: 0x7fcn },
      { rip: 0x1000n, rsp: 0x7e0n },
      { rip: 0x1010n, rsp: 0x7dcn },
      { rip: 0x1005n, rsp: 0x7e0n },
      { rip: 0x1005n, rsp: 0x800n },
      0x1006n,
    ])
    session.stepOver(0)
    expect(await next()).toEqual({ reason: 'step', vcpu: 0, breakpoints: [] })
    expect(target.machine.vcpu.register('rsp')).toBe(0x800n)
    expect(target.breakpoints.size).toBe(0)
  })

  test('over a call stops at a breakpoint within it', async () => {
    const { session, next } = calling([0x1000n, 0x1010n, 0x1005n])
    const [breakpoint] = session.setAddressBreakpoints([{ space: 'linear', address: 0x1010n }])
    session.stepOver(0)
    expect(await next()).toMatchObject({ reason: 'breakpoint', breakpoints: [breakpoint.id] })
  })

  test('over anything else is one instruction', async () => {
    const { session, next } = calling([0x1005n, 0x1006n, 0x1007n])
    session.stepOver(0)
    expect(await next()).toMatchObject({ reason: 'step' })
    expect(session.frame(0).instructionPointer).toBe(0x1006n)
  })
})

describe('a running guest', () => {
  test('can be paused', async () => {
    const { session, next, target } = scene([0x1000n, 0x1001n])
    target.atEnd = 'loop'
    session.resume()
    session.pause()
    expect(await next()).toMatchObject({ reason: 'pause' })
  })

  test('refuses what needs it to stand still', () => {
    const { session, target } = scene([0x1000n, 0x1001n])
    target.atEnd = 'loop'
    session.resume()
    expect(() => session.resume()).toThrow('the guest is running; pause it first')
    expect(() => session.frame(0)).toThrow('pause it first')
    session.dispose()
    expect(() => session.stepInto(0)).toThrow('the guest has ended')
  })
})

describe('looking', () => {
  test('reads memory of every space, up to where it ends', () => {
    const { session, target } = scene([0x1000n])
    target.machine.write(0xffffe, [1, 2])
    for (const space of ['linear', 'physical', 'host'] as const)
      expect([...session.readMemory(0, { space, address: 0xffffen }, 8)]).toEqual([1, 2])
    expect(session.readMemory(0, { space: 'physical', address: 2n ** 60n }, 8)).toHaveLength(0)
  })

  test('evaluates registers, symbols and memory', () => {
    const { session, target } = scene([0x1000n], { table: 0x2000n })
    target.machine.write(0x2004, [0x78, 0x56, 0x34, 0x12])
    target.machine.vcpu.set({ rbx: 4n })
    expect(session.evaluate(0, '*(u32*)(table + $rbx)')).toBe(0x12345678n)
    expect(session.evaluate(0, '$cr0.PE + $cpl')).toBe(1n)
    expect(() => session.evaluate(0, '*0xfffffff0')).toThrow('no memory can be read at 0xfffffff0, 8 bytes')
  })

  test('knows no vCPU that is not there', () => {
    expect(() => scene([0n]).session.registers(1)).toThrow('there is no vCPU 1')
  })
})
