/** DAP's ids of threads and frames: made from vCPU and depth, so that nothing has to be remembered. */

/** DAP's thread ids must be positive: vCPU number plus one. */
export const threadOf = (vcpu: number): number => vcpu + 1
export const vcpuOf = (threadId: number): number => threadId - 1

const MOST_THREADS = 4096
const MOST_FRAMES = 65_536
const STRIDE = 2 * MOST_THREADS

export const THREAD_IDS = { least: 1, most: MOST_THREADS }
export const FRAME_IDS = { least: 1, most: STRIDE * MOST_FRAMES - 1 }

export interface FrameId {
  readonly vcpu: number
  /** 0 is the frame that the vCPU executes, 1 its caller. */
  readonly depth: number
}

export const frameIdOf = ({ vcpu, depth }: FrameId): number => depth * STRIDE + threadOf(vcpu)
export const frameOf = (id: number): FrameId => ({ vcpu: vcpuOf(id % STRIDE), depth: Math.floor(id / STRIDE) })
