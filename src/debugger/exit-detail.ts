/** What an exit's qualification says, in words. */

import { describeEptQualification } from '../inspect/ept-qualification.ts'
import { IO_QUALIFICATION_OUT, type RecordedExit } from '../vmm/exit-log.ts'

export function exitDetail({ reason, qualification }: RecordedExit): string {
  const number = `0x${qualification.toString(16)}`
  switch (reason) {
    case 'io':
      return qualification >= IO_QUALIFICATION_OUT
        ? `out to port 0x${(qualification - IO_QUALIFICATION_OUT).toString(16)}`
        : `in from port ${number}`
    case 'ept-violation':
      return describeEptQualification(qualification)
    case 'cpuid':
      return `leaf ${number}`
    case 'rdmsr':
    case 'wrmsr':
      return `MSR ${number}`
    case 'cr-access':
      return `CR${qualification}`
    case 'exception':
      return `vector ${qualification}`
    default:
      return ''
  }
}
