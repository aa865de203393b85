import { describe, expect, test } from 'vitest'
import { describeRights, registerGroups } from '../../src/inspect/register-groups.ts'
import { FakeVcpu } from '../support/fake-machine.ts'

const groupsOf = (vcpu: FakeVcpu, symbols: Record<string, string> = {}) =>
  new Map(registerGroups(vcpu, address => symbols[address.toString(16)]).map(group => [group.name, group.nodes]))

const values = (nodes: readonly { name: string; value: string }[] = []) =>
  Object.fromEntries(nodes.map(node => [node.name, node.value]))

describe('registers in groups', () => {
  test('of 64-bit mode', () => {
    const vcpu = new FakeVcpu().longMode(0x1ab4000n).set({ rax: 0x1234n, rip: 0xffffffff81000000n, r15: 1n })
    const groups = groupsOf(vcpu, { ffffffff81000000: 'startup_64' })
    expect([...groups.keys()]).toEqual(['CPU mode', 'General registers', 'Flags', 'Segments', 'Control registers'])
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
})
