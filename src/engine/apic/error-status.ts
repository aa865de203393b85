/** The error status register, which shows what was logged before the last write to it (SDM vol. 3, 11.5.3). */

export class ErrorStatus {
  /** What a read shows. */
  shown = 0
  /** Errors since the last write. */
  logged = 0

  reset(): void {
    this.shown = 0
    this.logged = 0
  }

  /** @returns whether the error interrupt is due: once until a write arms it again. */
  log(bit: number): boolean {
    const armed = this.logged === 0
    this.logged |= bit
    return armed
  }

  /** A write of any value. */
  publish(): void {
    this.shown = this.logged
    this.logged = 0
  }
}
