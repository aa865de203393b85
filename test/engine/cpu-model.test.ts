/** Models of the processor, and what is added to them and taken away. */

import { describe, expect, it } from 'vitest'
import { CpuModelError, MODEL_NAMES, parseCpuModel } from '../../src/engine/cpu-model.ts'
import { CR4_OSXSAVE, CR4_SMEP, CR4_UMIP } from '../../src/x86/control-registers.ts'
import { Guest, Host } from './guest/guest.ts'
import { CODE, enterLongMode } from './guest/long-mode.ts'

describe('a model of the processor', () => {
  it('has every feature of the smaller ones', () => {
    const models = MODEL_NAMES.map(parseCpuModel)
    for (let i = 1; i < models.length; i++)
      for (const feature of models[i - 1].features) expect(models[i].has(feature), feature).toBe(true)
  })

  it('takes what is named, with what that needs', () => {
    const model = parseCpuModel('baseline,+avx2')
    for (const feature of ['avx2', 'avx', 'xsave', 'sse4.2', 'ssse3', 'sse3'] as const)
      expect(model.has(feature), feature).toBe(true)
    expect(model.has('fma')).toBe(false)
    expect(model.name).toBe('baseline,+avx2')
  })

  it('loses what is named, with what needs it', () => {
    const model = parseCpuModel('max,-ssse3')
    for (const feature of ['ssse3', 'sse4.1', 'sse4.2', 'avx', 'avx2', 'fma', 'sha'] as const)
      expect(model.has(feature), feature).toBe(false)
    expect(model.has('sse3')).toBe(true)
    expect(model.has('xsave')).toBe(true)
  })

  it('decides which bits of CR4 and XCR0 there are', () => {
    const bits = CR4_OSXSAVE | CR4_UMIP | CR4_SMEP
    expect(parseCpuModel('max').cr4Allowed & bits).toBe(bits)
    expect(parseCpuModel('baseline,-smep').cr4Allowed & bits).toBe(0)
    expect(parseCpuModel('max').xcr0Allowed).toBe(0x207)
    expect(parseCpuModel('max,-avx').xcr0Allowed).toBe(0x203)
    expect(parseCpuModel('baseline').xcr0Allowed).toBe(0)
  })

  it('is refused with what there is when the text names none', () => {
    expect(() => parseCpuModel('v4')).toThrow(CpuModelError)
    expect(() => parseCpuModel('v4')).toThrow(/"v4" is not one of baseline, v2, v3, max/)
    expect(() => parseCpuModel('v2,+sse9')).toThrow(/"\+sse9" is not \+ or - and a feature: .*sse4\.2/)
    expect(() => parseCpuModel('v2,aes')).toThrow(/"aes" is not \+ or -/)
  })
})

describe('an instruction of a feature that the model lacks', () => {
  const host = new Host({ model: parseCpuModel('max,-popcnt,-bmi1,-lzcnt') })
  const guest = new Guest(host, { exceptionBitmap: 0xffff_ffff })

  const execute = (code: readonly number[]) => {
    enterLongMode(guest)
    guest.write(CODE, [...code, 0x0f, 0x0b])
    guest.setRegisters({ rip: CODE, rax: 0, rcx: 0x50 })
    const exit = guest.run(1)
    return exit.reason === 'exception' ? exit.vector : guest.register('rax')
  }

  it('is undefined', () => {
    expect(execute([0xf3, 0x48, 0x0f, 0xb8, 0xc1])).toBe(6) // popcnt rax, rcx
  })

  it('is the older one that its bytes were before', () => {
    expect(execute([0xf3, 0x48, 0x0f, 0xbc, 0xc1])).toBe(4n) // tzcnt rax, rcx, here BSF
    expect(execute([0xf3, 0x48, 0x0f, 0xbd, 0xc1])).toBe(6n) // lzcnt rax, rcx, here BSR
  })
})
