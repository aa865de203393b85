/** Threads, one a vCPU, and their stacks, unwound as far as they are looked at. */

import { posix } from 'node:path'
import type { DebugProtocol } from '@vscode/debugprotocol'
import type { StackFrame } from '../../debugger/stack/frame.ts'
import { hex } from '../../protocol/address.ts'
import { Fields } from '../../protocol/fields.ts'
import { frameIdOf, THREAD_IDS, threadOf, vcpuOf } from '../frame-ids.ts'
import { COUNTS, type RequestFamily } from '../request.ts'
import type { Session } from '../session.ts'

/** Frames of one response. */
const MOST_FRAMES = 1000

const KINDS: Readonly<Record<StackFrame['kind'], string>> = {
  normal: '',
  inlined: ' [inlined]',
  interrupt: ' [interrupted]',
  heuristic: ' [a guess]',
}

export const threadRequests: RequestFamily = {
  threads(session) {
    const { vcpus } = session.debugger.target.machine
    return { threads: vcpus.map(vcpu => ({ id: threadOf(vcpu.index), name: `vCPU ${vcpu.index}` })) }
  },

  stackTrace(session, args) {
    const fields = new Fields('stackTrace', args)
    const vcpu = vcpuOf(fields.integer('threadId', THREAD_IDS))
    const start = fields.optionalInteger('startFrame', COUNTS) ?? 0
    // DAP: a number that is missing or 0 asks for all.
    const levels = Math.min(fields.optionalInteger('levels', COUNTS) || MOST_FRAMES, MOST_FRAMES)
    const stack = session.debugger.stack(vcpu)
    const frames = stack.frames(Math.min(start, MOST_FRAMES * 16), levels)
    return {
      stackFrames: frames.map(frame => frameBody(session, vcpu, frame)),
      // One more than is known makes the client ask again.
      totalFrames: stack.total ?? start + frames.length + 1,
    }
  },
}

function frameBody(session: Session, vcpu: number, frame: StackFrame): DebugProtocol.StackFrame {
  const { name, kind, source, pc, level, module } = frame
  const file = source === undefined ? undefined : session.sources.source(source.file, module)
  return {
    id: frameIdOf({ vcpu, depth: level }),
    name: name + KINDS[kind] + (file === undefined && source !== undefined ? unseen(source) : ''),
    // Without a source that can be shown clients turn to disassembly.
    ...(file === undefined ? {} : { source: file }),
    line: file === undefined ? 0 : (source?.line ?? 0),
    column: file === undefined ? 0 : (source?.column ?? 0),
    instructionPointerReference: hex(pc),
    ...(module === undefined ? {} : { moduleId: module }),
    ...(kind === 'heuristic' ? { presentationHint: 'subtle' as const } : {}),
  }
}

/** Where a frame is in a source that is not on this machine: the name is all of it that a client shows. */
const unseen = ({ file, line }: { readonly file: string; readonly line: number }): string =>
  ` (${posix.basename(file)}:${line})`
