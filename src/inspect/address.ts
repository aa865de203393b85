/** An address says which address space it belongs to; a bare number does not. */

export type Address =
  /** Guest-virtual, translated by the tables that `cr3` names, or by the vCPU's current CR3. */
  | { readonly space: 'linear'; readonly address: bigint; readonly cr3?: bigint }
  /** Guest-physical (GPA). */
  | { readonly space: 'physical'; readonly address: bigint }
  /** Host-physical (HPA). */
  | { readonly space: 'host'; readonly address: bigint }
