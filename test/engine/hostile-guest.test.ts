/**
 * Guests that are noise (test/fuzz/): random bytes as code, in every mode, behind random page tables and descriptor
 * tables. Whatever they do is an exit or an exception of their own: nothing is thrown at the hypervisor, nothing outside
 * their frames is written, and the same noise leads to the same end. `npm run fuzz` runs many more.
 */

import { describe, expect, it } from 'vitest'
import { MODES } from '../fuzz/modes.ts'
import { NoiseMachine } from '../fuzz/noise.ts'
import { SEEDS } from '../fuzz/seeds.ts'

const INSTRUCTIONS = 10_000
const ROUNDS = 3

/** The two tiers of a model. */
function machines(model: string): readonly [NoiseMachine, NoiseMachine] {
  return [new NoiseMachine({ model, hotEntries: 0 }), new NoiseMachine({ model, hotEntries: 2 })]
}

describe('a guest of noise', () => {
  const [interpreted, compiled] = machines('max')

  it('has frames that are told from all others', () => {
    const { guest } = interpreted
    guest.write32(0, 0x1234)
    interpreted.checkFrames()
    const { u8 } = guest.host.memory
    u8[guest.ept.root + 4095] ^= 1
    expect(() => interpreted.checkFrames()).toThrow('in no frame of the guest')
    u8[guest.ept.root + 4095] ^= 1
    interpreted.checkFrames()
  })

  it.each(MODES.map(({ name }, i) => [name, i] as const))(
    'comes to the same end each time and in either tier, within its frames (%s)',
    (_mode, i) => {
      let instructions = 0
      for (let round = 0; round < ROUNDS; round++) {
        const noise = { seed: i + round * MODES.length, instructions: INSTRUCTIONS }
        const end = interpreted.run(noise)
        instructions += end.instructions
        expect(compiled.run(noise), `seed ${noise.seed}, compiled`).toEqual(end)
        if (round === 0) expect(interpreted.run(noise), `seed ${noise.seed}, again`).toEqual(end)
      }
      // Guests live for a while: what nothing executes shows nothing.
      expect(instructions).toBeGreaterThan(INSTRUCTIONS / 4)
    },
  )

  it.each(SEEDS)('does no longer what seed $seed found: $found', ({ seed, instructions, model }) => {
    const [first, second] = machines(model).map(machine => machine.run({ seed, instructions }))
    expect(second).toEqual(first)
  })
})
