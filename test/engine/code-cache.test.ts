/** What is left of decoded code when its room is used up. */

import { afterAll, describe, expect, it } from 'vitest'
import { jumpCacheSlot } from '../../src/engine/interpreter/generate.ts'
import { JUMP_CACHE } from '../../src/engine/layout.ts'
import * as S from '../../src/engine/state.ts'
import { Guest, Host } from './guest/guest.ts'
import { CODE, enterLongMode } from './guest/long-mode.ts'

const host = new Host()
const guest = new Guest(host)
afterAll(() => guest.release())

describe('dropping all code', () => {
  it('takes back the record in which a branch wanted its target remembered', () => {
    host.memory.i32[S.LINK_SLOT >> 2] = 0x123456
    host.processor.code.dropAll()
    expect(host.memory.i32[S.LINK_SLOT >> 2]).toBe(0)
  })

  it('while a branch looks for its target leaves the code that is decoded next alone', () => {
    enterLongMode(guest)
    // CODE: jmp CODE + 0x800, where there is: inc eax; jmp CODE + 0x10; and there: inc eax; hlt
    guest.write(CODE, [0xe9, 0xfb, 0x07, 0, 0])
    guest.write(CODE + 0x800, [0xff, 0xc0, 0xe9, 0x09, 0xf8, 0xff, 0xff])
    guest.write(CODE + 0x10, [0xff, 0xc0, 0xf4])
    const { code } = host.processor
    const ensureRoom = code.ensureRoom.bind(code)
    let looks = 0
    code.ensureRoom = () => {
      // The second block is looked for by the first one's branch, the third by the second one's.
      if (++looks > 1) code.dropAll()
      ensureRoom()
    }
    guest.setRegisters({ rip: CODE, rax: 0, rflags: 2 })
    expect(guest.run(100)).toEqual({ reason: 'hlt' })
    code.ensureRoom = ensureRoom
    expect(looks).toBeGreaterThan(2)
    expect(guest.register('rax')).toBe(2n)
    enterLongMode(guest)
    guest.setRegisters({ rip: CODE, rax: 0, rflags: 2 })
    expect(guest.run(100)).toEqual({ reason: 'hlt' })
    expect(guest.register('rax')).toBe(2n)
  })
})

describe('the jump cache', () => {
  const HERE = CODE + 0x1000

  /** A function of `inc eax; ret` at each address, called in turn `rounds` times; returns the jumps that were looked up. */
  function lookedUp(functions: readonly number[], rounds: number): number {
    enterLongMode(guest)
    const calls = functions.flatMap((to, i) => {
      const distance = to - (HERE + 5 * i + 5)
      return [0xe8, ...[0, 8, 16, 24].map(shift => (distance >> shift) & 0xff)]
    })
    // dec ecx; jnz HERE; hlt
    guest.write(HERE, [...calls, 0xff, 0xc9, 0x0f, 0x85, ...[-(calls.length + 8), -1, -1, -1].map(x => x & 0xff), 0xf4])
    for (const to of functions) guest.write(to, [0xff, 0xc0, 0xc3])
    const { code } = host.processor
    const addJump = code.addJump.bind(code)
    let jumps = 0
    code.addJump = jump => {
      jumps++
      addJump(jump)
    }
    guest.setRegisters({ rip: HERE, rax: 0, rcx: rounds, rflags: 2 })
    expect(guest.run(100_000)).toEqual({ reason: 'hlt' })
    code.addJump = addJump
    expect(guest.register('rax')).toBe(BigInt(functions.length * rounds))
    return jumps
  }

  it('keeps two branches that fall on one entry, and loses none of the other branches by it', () => {
    const slot = jumpCacheSlot(CODE + 0x2000)
    const same = Array.from({ length: 0x40_000 }, (_, i) => CODE + 0x2001 + i).filter(to => jumpCacheSlot(to) === slot)
    expect(same.length).toBeGreaterThan(2)
    const [second, third] = same
    expect(lookedUp([CODE + 0x2000, second], 1000)).toBeLessThan(30)
    // Three have no room, and still arrive.
    expect(lookedUp([CODE + 0x2000, second, third], 100)).toBeGreaterThan(200)
  })

  it('forgets a branch wherever its entry has moved when its page is translated anew', () => {
    const slot = jumpCacheSlot(CODE + 0x2000)
    const other = Array.from({ length: 0x40_000 }, (_, i) => CODE + 0x3000 + i).find(to => jumpCacheSlot(to) === slot)
    lookedUp([CODE + 0x2000, other ?? 0], 3)
    expect(entriesOf(CODE + 0x2000).length + entriesOf(other ?? 0).length).toBe(2)
    const { code } = host.processor
    code.dropPage((CODE + 0x2000) / 4096)
    code.dropPage(Math.floor((other ?? 0) / 4096))
    expect(entriesOf(CODE + 0x2000)).toEqual([])
    expect(entriesOf(other ?? 0)).toEqual([])
  })

  /** Slots whose entry leads to an address. */
  function entriesOf(rip: number): number[] {
    const { i32 } = host.memory
    const first = (JUMP_CACHE + jumpCacheSlot(rip)) >> 2
    return [first, first ^ 4].filter(at => i32[at] === rip && i32[at + 1] === 0 && i32[at + 2] !== 0)
  }
})
