/** One frame of a stack that stands still, with all that evaluation, variables and assignments need of it. */

import type { DisplayContext } from '../debugger/expression/display.ts'
import type { Writer } from '../debugger/expression/evaluate.ts'
import type { Subject } from '../debugger/expression/subject.ts'
import type { FrameScope } from '../debugger/frame-scope.ts'
import type { StackFrame } from '../debugger/stack/frame.ts'
import { writeMemory } from '../debugger/write-memory.ts'
import { writeRegister } from '../debugger/write-register.ts'
import type { FrameId } from './frame-ids.ts'
import { EarlierStopError, RequestError } from './request.ts'
import type { Session } from './session.ts'

export interface FrameView {
  readonly id: FrameId
  readonly frame: StackFrame
  readonly scope: FrameScope
  readonly subject: Subject
  readonly display: DisplayContext
  readonly writer: Writer
}

/** Throws {@link RequestError} where the stack is not so deep. */
export function frameView(session: Session, id: FrameId): FrameView {
  const stack = session.debugger.stack(id.vcpu)
  const [frame] = stack.frames(id.depth, 1)
  if (frame === undefined) throw new EarlierStopError('this frame belongs to an earlier stop')
  const subject = stack.subject(frame)
  return {
    ...{ id, frame, subject, scope: stack.scope(frame), writer: writerFor(session, id, frame) },
    display: { subject, describe: address => session.debugger.symbols.describe(address) },
  }
}

/** Assignments; the stack is forgotten with each, for it may follow from what was changed. */
function writerFor(session: Session, { vcpu }: FrameId, { activation }: StackFrame): Writer {
  const { target } = session.debugger
  return {
    writeRegister(name, value) {
      if (activation.by !== 'start')
        throw new RequestError(`$${name} can be set in the innermost frame only: here it is the value to come back to`)
      writeRegister(target, session.debugger.vcpu(vcpu), name, value)
      session.debugger.changed()
    },
    writeMemory(address, bytes) {
      writeMemory(target, session.debugger.vcpu(vcpu), address, bytes)
      session.debugger.changed()
      session.wrote(address, bytes.length)
    },
  }
}
