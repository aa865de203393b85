/** Pages of the linear address space, by number. */

/** Number of a linear page, exact as a double; negative in the upper half. @param low bits 31:0 of an address in it */
export function pageNumber(low: number, high: number): number {
  return (high | 0) * 2 ** 20 + (low >>> 12)
}
