/** What interrupts an instruction before its first side effect: thrown through generated code, caught by the run loop. */

/** An exception of the guest (SDM vol. 3, chapter 6). Not an `Error`: it is the guest's, and costs no stack trace. */
export class GuestFault {
  readonly vector: number
  /** Pushed by the delivery where the vector has one. */
  readonly errorCode: number | undefined
  /** Linear address for CR2; page faults only. */
  readonly address: bigint | undefined

  constructor(vector: number, errorCode?: number, address?: bigint) {
    this.vector = vector
    this.errorCode = errorCode
    this.address = address
  }
}

export const divideError = () => new GuestFault(0)
export const boundRangeExceeded = () => new GuestFault(5)
export const invalidOpcode = () => new GuestFault(6)
export const deviceNotAvailable = () => new GuestFault(7)
export const invalidTss = (selector: number) => new GuestFault(10, selector & 0xfffc)
export const segmentNotPresent = (selector: number) => new GuestFault(11, selector & 0xfffc)
export const stackFault = (code: number) => new GuestFault(12, code)
export const generalProtection = (code = 0) => new GuestFault(13, code)
export const pageFault = (code: number, address: bigint) => new GuestFault(14, code, address)
export const x87FloatingPoint = () => new GuestFault(16)
export const alignmentCheck = () => new GuestFault(17, 0)
export const simdFloatingPoint = () => new GuestFault(19)
