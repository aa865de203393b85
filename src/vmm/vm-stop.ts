/** Why {@link Vm.run} came back to its caller. */

import type { Exit } from '../engine/processor.ts'

export type VmStop =
  /** The slice is used up. */
  | { readonly kind: 'slice' }
  /** Every vCPU is halted and nothing can wake one. */
  | { readonly kind: 'halted-forever' }
  /** Every vCPU is halted; `until` is the virtual time in ns at which a timer will fire, or Infinity. */
  | { readonly kind: 'idle'; readonly until: number }
  /** The caller asked for it by {@link Vm.requestStop}. */
  | { readonly kind: 'requested' }
  | { readonly kind: 'power-off' }
  /** The guest asked for a reset; whoever owns the machine carries it out. */
  | { readonly kind: 'reset' }
  | { readonly kind: 'debug-exit'; readonly value: number }
  | { readonly kind: 'triple-fault'; readonly vcpu: number }
  | { readonly kind: 'breakpoint'; readonly vcpu: number }
  /** The one instruction that {@link Vm.step} was asked for has retired. */
  | { readonly kind: 'step'; readonly vcpu: number }
  /** An exit that the control block asked for on behalf of the caller: an exception, a control-register access. */
  | { readonly kind: 'exit'; readonly vcpu: number; readonly exit: Exit }
  /** The guest keeps page tables where there is no RAM to read or update them. */
  | { readonly kind: 'unbacked-page-table'; readonly vcpu: number; readonly gpa: number }
