/** How fast the guest runs, from its count of instructions at two times. */

/** Shorter runs, such as steps, say nothing of speed. */
const SHORTEST = 100

export class SpeedMeter {
  #since: { readonly instructions: number; readonly time: number } | undefined

  /** What follows is not compared with what was before: the guest stood still between. */
  reset(): void {
    this.#since = undefined
  }

  /**
   * Millions of instructions a second since the sample before; undefined at the first, after too short a time, and when
   * the guest has begun anew.
   * @param time in milliseconds
   */
  sample(instructions: number, time: number): number | undefined {
    const since = this.#since
    if (since !== undefined && instructions >= since.instructions && time - since.time < SHORTEST) return undefined
    this.#since = { instructions, time }
    if (since === undefined || instructions < since.instructions) return undefined
    return (instructions - since.instructions) / (time - since.time) / 1000
  }
}
