/**
 * Guests of noise that found something, once: `npm test` runs them again. A change of the generator makes other guests of
 * them, so what they found has a test of its own as well.
 */

export interface Seed {
  readonly seed: number
  readonly instructions: number
  readonly model: string
  readonly found: string
}

export const SEEDS: readonly Seed[] = [
  { seed: 1069, instructions: 50_000, model: 'max', found: 'links between blocks counted as state of the guest' },
  {
    seed: 442,
    instructions: 50_000,
    model: 'max',
    found: 'a branch in 16-bit code above 64 KiB linked as if it stayed',
  },
  { seed: 195, instructions: 50_000, model: 'max', found: '#AC that raises itself for ever' },
  {
    seed: 400013,
    instructions: 50_000,
    model: 'v3',
    found: 'the start of the last block counted as state of the guest',
  },
]
