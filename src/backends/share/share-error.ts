/** Errors of a shared folder, as its guest gets them. */

import { LINUX_ERRORS, type LinuxError } from './linux-errors.ts'

/** What the guest gets as an error of Linux. */
export class ShareError extends Error {
  readonly errno: number

  constructor(code: LinuxError, message: string = code) {
    super(message)
    this.errno = LINUX_ERRORS[code]
  }
}

/** Errors of the host become the guest's. */
export function attempt<T>(action: () => T): T {
  try {
    return action()
  } catch (error) {
    if (error instanceof ShareError) throw error
    const code = error instanceof Error && 'code' in error ? String(error.code) : ''
    throw new ShareError(isErrno(code) ? code : 'EIO', reason(error))
  }
}

const isErrno = (code: string): code is LinuxError => code in LINUX_ERRORS

export const reason = (error: unknown): string => (error instanceof Error ? error.message : String(error))
