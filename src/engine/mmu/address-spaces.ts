/**
 * ASIDs: 12-bit tags that let translations of several VMs, address spaces and access classes live in the TLB together.
 * One stands for a VPID, a PCID and a class of access; dropping the translations of an address space means to forget
 * its ASIDs, and only when all are used up is the TLB itself emptied.
 */

/** Class of access: what a translation may be used for. User; supervisor under SMAP; supervisor without SMAP. */
export type AccessClass = 0 | 1 | 2
export const CLASS_USER: AccessClass = 0
export const CLASS_SUPERVISOR: AccessClass = 1
export const CLASS_SUPERVISOR_SMAP_OFF: AccessClass = 2

const LAST = 4095

export class AddressSpaces {
  /** ASIDs by VPID * 2^14 + PCID * 4 + class. */
  readonly #asids = new Map<number, number>()
  readonly #emptyTlb: () => void
  #next = 1

  /** @param emptyTlb drops every translation and everything derived from one. */
  constructor(emptyTlb: () => void) {
    this.#emptyTlb = emptyTlb
  }

  asid(vpid: number, pcid: number, accessClass: AccessClass): number {
    const key = vpid * 0x4000 + pcid * 4 + accessClass
    const known = this.#asids.get(key)
    if (known !== undefined) return known
    if (this.#next > LAST) this.dropAll()
    const asid = this.#next++
    this.#asids.set(key, asid)
    return asid
  }

  /** The ASIDs that stand for a PCID now, at most one for each class of access. */
  ofPcid(vpid: number, pcid: number): number[] {
    const asids: number[] = []
    for (let accessClass = 0; accessClass < 3; accessClass++) {
      const asid = this.#asids.get(vpid * 0x4000 + pcid * 4 + accessClass)
      if (asid !== undefined) asids.push(asid)
    }
    return asids
  }

  /** Drops all translations of a VPID. */
  dropVpid(vpid: number): void {
    for (const key of this.#asids.keys()) if (Math.floor(key / 0x4000) === vpid) this.#asids.delete(key)
  }

  dropAll(): void {
    this.#asids.clear()
    this.#next = 1
    this.#emptyTlb()
  }
}
