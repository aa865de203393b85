import { describe, expect, test } from 'vitest'
import { U8, U32 } from '../../../src/debugger/expression/built-in-types.ts'
import { childrenOf, displayText } from '../../../src/debugger/expression/display.ts'
import { VcpuSubject } from '../../../src/debugger/expression/subject.ts'
import type { Member, StructType, Type } from '../../../src/symbols/dwarf/type-model.ts'
import { FakeMachine } from '../../support/fake-machine.ts'

const member = (name: string, offset: number, type: Type): Member => ({
  name,
  offset,
  type,
  bits: undefined,
  inherited: false,
})
const struct = (name: string, members: readonly Member[]): StructType => ({
  kind: 'struct',
  keyword: 'struct',
  name,
  tag: name,
  size: 8,
  incomplete: false,
  members,
  variants: undefined,
})
/** `Option<u32>`, as rustc describes it. */
const option: StructType = {
  ...struct('Option<u32>', []),
  variants: {
    discriminant: member('', 0, U8),
    variants: [
      { values: [{ low: 0n, high: 0n }], members: [member('None', 0, struct('None', []))] },
      { values: undefined, members: [member('Some', 0, struct('Some', [member('__0', 4, U32)]))] },
    ],
  },
}

describe('an enumeration of Rust', () => {
  const machine = new FakeMachine()
  const context = { subject: new VcpuSubject(machine.vcpu, machine), describe: () => undefined }
  const shown = (bytes: readonly number[]) => {
    const value = { type: option, place: { kind: 'constant', bytes: Uint8Array.from(bytes) } } as const
    return [displayText(value, context), childrenOf(value, context).map(({ name }) => name)]
  }

  test('shows the variant that its discriminant selects', () => {
    expect(shown([0, 0, 0, 0, 9, 0, 0, 0])).toEqual(['None', ['None']])
    expect(shown([1, 0, 0, 0, 9, 0, 0, 0])).toEqual(['Some {__0 = 9}', ['Some']])
  })
})
