import { describe, expect, test } from 'vitest'
import { registerGroups } from '../../src/inspect/register-groups.ts'
import { describeRights } from '../../src/inspect/segment-registers.ts'
import { extendedText } from '../../src/inspect/x87-registers.ts'
import { FakeVcpu } from '../support/fake-machine.ts'

const groupsOf = (vcpu: FakeVcpu, symbols: Record<string, string> = {}) =>
  new Map(registerGroups(vcpu, address => symbols[address.toString(16)]).map(group => [group.name, group.nodes()]))

const values = (nodes: readonly { name: string; value: string }[] = []) =>
  Object.fromEntries(nodes.map(node => [node.name, node.value]))

describe('registers in groups', () => {
  test('of 64-bit mode', () => {
    const vcpu = new FakeVcpu().longMode(0x1ab4000n).set({ rax: 0x1234n, rip: 0xffffffff81000000n, r15: 1n })
    const groups = groupsOf(vcpu, { ffffffff81000000: 'startup_64' })
    expect([...groups.keys()]).toEqual([
      ...['CPU mode', 'General registers', 'Flags', 'Segments', 'Control registers', 'Debug registers'],
      ...['Model-specific registers', 'x87', 'SSE and AVX', 'Virtualization'],
    ])
    expect(values(groups.get('CPU mode'))).toMatchObject({
      summary: '64-bit, CPL 0, 4-level paging, IF=1',
      CPL: '0',
      code: '64-bit',
    })
    expect(values(groups.get('General registers'))).toMatchObject({
      rax: '0x0000000000001234',
      r15: '0x0000000000000001',
      rip: '0xffffffff81000000 <startup_64>',
      rflags: '0x0000000000000202 [IF IOPL=0]',
    })
    expect(values(groups.get('Flags'))).toMatchObject({ IF: '1', ZF: '0', IOPL: '0' })
    expect(values(groups.get('Control registers'))).toEqual({
      cr0: '0x80050033 [PE MP ET NE WP AM PG]',
      cr2: '0x0000000000000000',
      cr3: '0x1ab4000 [BASE=0x1ab4000]',
      cr4: '0x6b0 [PSE PAE PGE OSFXSR OSXMMEXCPT]',
      efer: '0xd01 [SCE LME LMA NXE]',
      xcr0: '0x0 []',
      cr8: '0',
    })
    expect(groups.get('Control registers')?.find(node => node.name === 'cr3')?.address).toEqual({
      space: 'physical',
      address: 0x1ab4000n,
    })
  })

  test('of 32-bit code have 32 bits', () => {
    const groups = groupsOf(new FakeVcpu().protectedMode().set({ rax: 0xffff_ffff_8000_0000n, rip: 0x7c00n }))
    const general = values(groups.get('General registers'))
    expect(general.eax).toBe('0x80000000')
    expect(general.eip).toBe('0x00007c00')
    expect(general.r8).toBeUndefined()
  })

  test('segments show what the processor has cached', () => {
    const vcpu = new FakeVcpu().longMode()
    const cs = groupsOf(vcpu).get('Segments')?.[0]
    expect(cs?.value).toBe('0x0010 64-bit code, DPL 0, base 0x0, limit 0xffffffff')
    expect(cs?.children?.map(child => child.name)).toEqual(['selector', 'base', 'limit', 'rights'])
    expect(describeRights(0x10000)).toBe('unusable')
    expect(describeRights(0xc0f3)).toBe('data, DPL 3')
    expect(describeRights(0x8b)).toBe('system, DPL 0')
  })

  test('debug registers say what they watch', () => {
    const vcpu = new FakeVcpu().longMode().set({ dr0: 0x1000n, dr6: 0xffff0ff1n, dr7: 0xd0402n })
    const debug = groupsOf(vcpu, { 1000: 'counter' }).get('Debug registers')
    expect(values(debug)).toMatchObject({
      dr0: '0x0000000000001000 <counter>',
      dr6: '0xffff0ff1 [B0 RTM]',
      dr7: '0xd0402 [G0 R/W0=1 LEN0=3 R/W1=0 LEN1=0 R/W2=0 LEN2=0 R/W3=0 LEN3=0]',
    })
  })

  test('model-specific registers lead to symbols and are taken apart', () => {
    const vcpu = new FakeVcpu()
      .longMode()
      .set({ msr_lstar: 0xffff_ffff_8180_0000n, msr_star: 0x0023_0010_0000_0000n, msr_pat: 0x0007_0406_0007_0406n })
      .set({ msr_apic_base: 0xfee0_0900n })
    const registers = groupsOf(vcpu, { ffffffff81800000: 'entry_SYSCALL_64' }).get('Model-specific registers')
    expect(values(registers)).toMatchObject({
      IA32_LSTAR: '0xffffffff81800000 <entry_SYSCALL_64>',
      IA32_PAT: '0x7040600070406 [WB WT UC- UC WB WT UC- UC]',
      IA32_APIC_BASE: '0xfee00900 [BSP EN]',
    })
    expect(values(registers?.find(({ name }) => name === 'IA32_STAR')?.children)).toEqual({
      'SYSCALL CS': '0x10',
      'SYSRET CS': '0x23',
    })
  })

  test('the x87 stack shows numbers, and which places are empty', () => {
    const vcpu = new FakeVcpu().longMode().set({
      ...{ x87_control: 0x37fn, x87_status: 0x3800n | 0x1n, x87_tags: 0x80n },
      st0: 0x4000_c90f_daa2_2168_c235n,
    })
    expect(values(groupsOf(vcpu).get('x87'))).toMatchObject({
      FCW: '0x37f [64 bits, rounds to nearest, masked IDZOUP]',
      FSW: '0x3801 [TOP=7, raised I]',
      st0: '0x4000c90fdaa22168c235 3.141592653589793',
      st1: '0x00000000000000000000 (empty)',
    })
    expect(extendedText(0xbfff_8000_0000_0000_0000n)).toBe('-1')
    expect(extendedText(0x7fff_8000_0000_0000_0000n)).toBe('inf')
    expect(extendedText(0x7fff_c000_0000_0000_0000n)).toBe('nan')
    expect(extendedText(0x0001_8000_0000_0000_0000n)).toBe('9223372036854776000 * 2^-16445')
  })

  test('vector registers show their lanes, and their upper halves where those are enabled', () => {
    const one = 0x3ff0_0000_0000_0000n
    const narrow = groupsOf(new FakeVcpu().longMode().set({ xmm1: one, mxcsr: 0x1f80n })).get('SSE and AVX')
    expect(values(narrow)).toMatchObject({
      mxcsr: '0x1f80 [IM DM ZM OM UM PM RC=0]',
      xmm1: '0x00000000000000003ff0000000000000',
    })
    expect(values(narrow?.find(({ name }) => name === 'xmm1')?.children)).toMatchObject({
      u64: '3ff0000000000000 0000000000000000',
      f32: '0 1.875 0 0',
      f64: '1 0',
    })
    const vcpu = new FakeVcpu().longMode().set({ cr4: 0x40620n, xcr0: 7n, ymm15: one << 192n })
    const wide = groupsOf(vcpu).get('SSE and AVX')
    expect(wide?.at(-1)).toMatchObject({ name: 'ymm15', value: `0x3ff0000000000000${'0'.repeat(48)}` })
  })

  test('virtualization shows the control block', () => {
    const vcpu = new FakeVcpu().longMode()
    expect(values(groupsOf(vcpu).get('Virtualization'))).toEqual({ activity: 'active' })
    vcpu.controls = {
      ...{ eptPointer: 0x5000, vpid: 3, exceptionBitmap: 1 << 14, tscOffset: -5n },
      crExits: { cr0: false, cr3: true, cr4: false },
    }
    const nodes = groupsOf(vcpu).get('Virtualization')
    expect(values(nodes)).toMatchObject({
      'EPT pointer': '0x5000',
      VPID: '3',
      'exception bitmap': '0x4000',
      'control-register exits': 'cr3',
      'TSC offset': '-5',
    })
    expect(nodes?.find(({ name }) => name === 'exception bitmap')?.children).toEqual([
      { name: '14', value: '#PF page fault' },
    ])
  })
})
