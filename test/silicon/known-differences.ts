/** Where the engine ends a scenario otherwise than the processor that the outcomes were recorded from, and why that is right. */

export interface KnownDifference {
  /** Names of scenarios. */
  readonly scenarios: RegExp
  readonly reason: string
}

export const KNOWN_DIFFERENCES: readonly KnownDifference[] = [
  {
    scenarios: /^64-bit: far (JMP|CALL) (with a 64-bit offset to |to an address that is not canonical)/,
    reason:
      'AMD processors know no far pointer with a 64-bit offset (APM vol. 3, JMP far): they ignore REX.W and take the ' +
      'selector from the upper half of the offset. The engine does as the SDM says.',
  },
  {
    scenarios: /^32-bit: (a read of \d+ bytes wraps around 4 GB|(read|write) .* at 0xfffffffe of data)$/,
    reason:
      'With a limit of 4 GB an access beyond it may or may not fault (SDM vol. 3, 5.3); on AMD it does, the engine ' +
      'lets it wrap around.',
  },
  {
    scenarios: /^(32|64)-bit: (pusha at|enter 16, 2 at|enter with a stack there: a writable page)/,
    reason:
      'PUSHA and ENTER that fault leave what they had pushed before below the stack pointer; the engine translates ' +
      'everything before it writes. No register tells of it.',
  },
  {
    scenarios: /^32-bit: a far CALL beyond the limit of shortCode$/,
    reason: 'The processor pushes the return address before it checks the offset; the stack pointer stays.',
  },
  {
    scenarios: /^(32|64)-bit: AC: fxsave .* at offset [12]$/,
    reason: 'Whether a misaligned FXSAVE is #AC or #GP with alignment checks on varies (SDM vol. 2, FXSAVE).',
  },
  {
    scenarios: /db 0xf1$/,
    reason:
      'INT1 is a trap: RIP is behind it (SDM vol. 2, INT n). The outcomes come from a virtual machine, whose hypervisor ' +
      'intercepts #DB and passes it on with RIP at INT1.',
  },
]
