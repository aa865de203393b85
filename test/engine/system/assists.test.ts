import { Code } from 'iced-x86'
import { describe, expect, it } from 'vitest'
import { systemAssists, systemMemorySizes } from '../../../src/engine/system/assists.ts'

/** Families of system instructions, by iced-x86 `Code` name. */
const FAMILIES =
  /^(Mov_Sreg_|Mov_r(32|64)_[cd]r|Mov_[cd]r_|Pop[wdq]_[C-GS]S$|L[defgs]s_r|[SL](ldt|tr|gdt|idt|msw)_|Str_|Ltr_|Ver[rw]_|Lar_|Lsl_|Arpl_|(Jmp|Call)_(ptr|m16)|Retf|Iret|Int(o|1|3|_imm8)$|Bound_|Syscall|Sysret|Sysenter|Sysexit|Rdmsr$|Wrmsr$|Rdpmc|Cpuid|(In|Out)_|(Ins|Outs)[bwd]_|Hlt|Cl(ts|ac)$|Stac$|Invlpg_m|Invd$|Wbinvd$|Clflush_m8|Popf[wdq])/
/** In the Code enum, and undefined on every processor that CPUID could make this one: POP CS is an 8086's. */
const ABSENT = new Set(['Popw_CS'])

describe('the table of system instructions', () => {
  const names = Object.keys(Code).filter(name => FAMILIES.test(name) && !ABSENT.has(name))

  it('has every form of its families, but for those with generated definitions', () => {
    expect(names.length).toBeGreaterThan(100)
    expect(names.filter(name => systemAssists[name] === undefined)).toEqual([])
  })

  it('names only codes that exist', () => {
    const codes = new Set(Object.keys(Code))
    expect(Object.keys(systemAssists).filter(name => !codes.has(name))).toEqual([])
  })

  it('knows the size of every memory operand that is accessed', () => {
    const memory = names.filter(name => /_m\d|_(rm16|r32m16|r64m16)|^[SL][gi]dt_/.test(name))
    // Privilege comes before the operand here, and a flush has rights of its own: they check their segment themselves.
    const later = /^(L[gi]dt|Lldt|Ltr|Lmsw|Outs[bwd]|Clflush(opt)?)_/
    expect(memory.filter(name => !(systemMemorySizes[name] ?? 0) !== later.test(name))).toEqual([])
    expect(systemMemorySizes).toMatchObject({ Sgdt_m1632: 6, Sgdt_m1664: 10, Call_m1616: 4, Lss_r64_m1664: 10 })
    expect(systemMemorySizes).toMatchObject({ Lar_r32_r32m16: 2, Insd_m32_DX: 4, Bound_r32_m3232: 8, Sldt_rm16: 2 })
    expect(systemMemorySizes.Invlpg_m).toBeUndefined()
  })
})
