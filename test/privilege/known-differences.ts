/** Where QEMU's TCG, which the outcomes were recorded from, takes a short cut and the engine does as the manuals say. */

import type { DescriptorCase, DescriptorOutcome } from './outcomes.ts'

export interface KnownDifference {
  readonly reason: string
  readonly explains: (of: DescriptorCase, recorded: DescriptorOutcome, engine: DescriptorOutcome) => boolean
}

const GENERAL_PROTECTION = 13
const same = (a: DescriptorOutcome, b: DescriptorOutcome, but: Partial<DescriptorOutcome>): boolean =>
  JSON.stringify({ ...a, ...but }) === JSON.stringify({ ...b, ...but })
const type = ({ access }: DescriptorCase): number => access & 0x1f
const isCode = (of: DescriptorCase): boolean => (of.access & 0x18) === 0x18
const LIMIT_BITS = 0xf_0000

export const KNOWN_DIFFERENCES: readonly KnownDifference[] = [
  {
    reason: 'bits 19:16 of what LAR gives are undefined (SDM vol. 2, LAR); processors give those of the descriptor',
    explains: ({ instruction }, recorded, engine) =>
      instruction === 'lar' && recorded.ecx === (engine.ecx & ~LIMIT_BITS) && same(recorded, engine, { ecx: 0 }),
  },
  {
    reason:
      '16-bit TSSs and 16-bit gates are no types that LAR and LSL know in 64-bit mode (SDM vol. 2, tables 3-53, 3-54)',
    explains: (of, recorded, engine) =>
      (of.instruction === 'lar' || of.instruction === 'lsl') &&
      [1, 3, 4, 5].includes(type(of)) &&
      recorded.zero &&
      !engine.zero,
  },
  {
    reason: 'a 16-bit TSS is no operand of LTR in 64-bit mode, present or not (SDM vol. 2, LTR)',
    explains: (of, recorded, engine) =>
      of.instruction === 'ltr' &&
      type(of) === 1 &&
      recorded.vector !== GENERAL_PROTECTION &&
      engine.vector === GENERAL_PROTECTION,
  },
  {
    reason: 'loading CS sets the accessed bit of its descriptor (SDM vol. 3, 3.4.5.1)',
    explains: (of, recorded, engine) =>
      isCode(of) && recorded.changed === 0 && engine.changed === 1 && same(recorded, engine, { changed: 0 }),
  },
  {
    reason:
      'an offset beyond the limit of a code segment is #GP(0), checked before CS is loaded (SDM vol. 2, CALL, RET, IRET)',
    explains: (of, _recorded, engine) =>
      of.form >= 2 && of.form <= 4 && isCode(of) && engine.vector === GENERAL_PROTECTION && engine.error === 0,
  },
  {
    reason: 'a code segment with both L and D is #GP(selector), present or not (SDM vol. 2, JMP)',
    explains: (of, _recorded, engine) =>
      of.form === 5 && isCode(of) && engine.vector === GENERAL_PROTECTION && engine.error === 0x40,
  },
  {
    reason: 'a type in the upper half of an LDT descriptor must be 0 in 64-bit mode (SDM vol. 3, 7.2.3 and 8.2.3)',
    explains: (of, _recorded, engine) =>
      of.form === 6 && of.instruction === 'lldt' && engine.vector === GENERAL_PROTECTION && engine.error === 0x40,
  },
]
