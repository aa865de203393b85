/**
 * The four PDPTE registers of PAE paging (SDM vol. 3, 4.4.1): loaded from memory together with CR3, checked then, and not
 * looked up again by any walk.
 */

import { CR0_PG, CR4_PAE, EFER_LMA } from '../../x86/control-registers.ts'
import type { AssistCpu } from '../assist.ts'
import type { CpuState } from '../cpu-state.ts'
import { generalProtection } from '../fault.ts'
import { pdpteReserved, pdpteTable } from '../mmu/page-walk.ts'
import * as S from '../state.ts'

const PRESENT = 1n
const COUNT = 4

/** Does PAE paging, with its four registers, translate under these? */
export const usesPdptes = (cr0: number, cr4: number, efer: number): boolean =>
  (cr0 & CR0_PG) !== 0 && (cr4 & CR4_PAE) !== 0 && (efer & EFER_LMA) === 0

/** @param word gives 64 bits at a guest-physical address */
export function readPdptes(cr3: bigint, word: (address: number) => bigint): readonly bigint[] {
  const table = pdpteTable(Number(cr3 & 0xffff_ffffn))
  return Array.from({ length: COUNT }, (_, i) => word(table + i * 8))
}

/** Does a present one have a reserved bit set? */
const arePdptesValid = (pdptes: readonly bigint[]): boolean =>
  pdptes.every(
    each =>
      (each & PRESENT) === 0n ||
      !pdpteReserved(Number(BigInt.asIntN(32, each)), Number(BigInt.asIntN(32, each >> 32n))),
  )

/** The registers that an instruction is to load with `cr3`, checked: #GP(0). May leave for an EPT violation. */
export function fetchPdptes(cpu: AssistCpu, cr3: bigint): readonly bigint[] {
  const pdptes = readPdptes(cr3, address => cpu.readPhysical64(address))
  if (!arePdptesValid(pdptes)) throw generalProtection()
  return pdptes
}

export function setPdptes(state: CpuState, pdptes: readonly bigint[]): void {
  for (const [i, pdpte] of pdptes.entries()) state.set64(S.PDPTES + i * 8, pdpte)
}
