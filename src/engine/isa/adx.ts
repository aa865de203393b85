/** Additions with a carry chain of their own, in CF or in OF (SDM vol. 2: ADCX, ADOX). All other flags stay. */

import type { Value } from '../wasm/value.ts'
import type { DefinitionTable } from './definition.ts'
import type { InstructionScope } from './instruction-scope.ts'
import { apply, equal, ltU } from './word.ts'

function addWith(
  scope: InstructionScope,
  bits: 32 | 64,
  carryIn: Value<'i32'>,
  setCarry: (carry: Value<'i32'>) => void,
): void {
  const { f } = scope
  const [a, b] = [scope.read(0), scope.read(1)]
  const carry = f.let(carryIn)
  const sum = scope.name(apply('add', apply('add', a, b), bits === 64 ? carry.extendU() : carry))
  scope.write(0, sum)
  setCarry(f.let(ltU(sum, a).or(carry.and(equal(sum, a)))))
}

export function defineAdx(table: DefinitionTable): void {
  for (const bits of [32, 64] as const) {
    const codes = (name: string) => `${name}_r${bits}_rm${bits}`
    table.define(codes('Adcx'), {
      name: `Adcx${bits}`,
      bits: [bits, bits],
      emit: scope => addWith(scope, bits, scope.carry(), carry => scope.flagsCarry(carry)),
    })
    table.define(codes('Adox'), {
      name: `Adox${bits}`,
      bits: [bits, bits],
      emit: scope =>
        addWith(scope, bits, scope.overflow(), overflow => scope.flagsCarryOverflow(scope.carry(), overflow)),
    })
  }
}
