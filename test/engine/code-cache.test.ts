/** What is left of decoded code when its room is used up. */

import { afterAll, describe, expect, it } from 'vitest'
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
