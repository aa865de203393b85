/**
 * Conditions and log messages of breakpoints, compiled once and evaluated inside the run loop:
 *
 *     const condition = compileCondition('count == 4096', scope)     // names resolved at the breakpoint's address
 *     if (condition.test(vcpu, machine)) stop(condition.failure)
 *
 * Both throw {@link ExpressionError} when the expression has no meaning there.
 */

import type { MachineView, VcpuView } from '../../inspect/machine-view.ts'
import { truthOf } from './arithmetic.ts'
import { Binder } from './binder.ts'
import { scalarOf } from './bound.ts'
import { displayText } from './display.ts'
import { evaluate, isTypeName } from './evaluate.ts'
import { ExpressionError } from './expression-error.ts'
import { parseExpression } from './parser.ts'
import type { Scope } from './scope.ts'
import { type Subject, VcpuSubject } from './subject.ts'

export interface CompiledCondition {
  readonly text: string
  /** True too when it can't be evaluated, as where memory is not mapped: the person who set it should see why. */
  test(vcpu: VcpuView, machine: MachineView): boolean
  /** Why the last test could not be evaluated; undefined when it could. */
  readonly failure: string | undefined
}

class Condition implements CompiledCondition {
  readonly text: string
  failure: string | undefined
  readonly #holds: (subject: VcpuSubject) => boolean
  #subject: VcpuSubject | undefined

  constructor(text: string, holds: (subject: VcpuSubject) => boolean) {
    this.text = text
    this.#holds = holds
  }

  test(vcpu: VcpuView, machine: MachineView): boolean {
    const subject = (this.#subject ??= new VcpuSubject(vcpu, machine))
    subject.vcpu = vcpu
    subject.machine = machine
    this.failure = undefined
    try {
      return this.#holds(subject)
    } catch (error) {
      this.failure = failureText(error)
      return true
    }
  }
}

/** What is known before the guest runs: constants only. */
const NOTHING_KNOWN: Subject = {
  get vcpu(): never {
    throw new ExpressionError('in a condition this must be a constant')
  },
  get machine(): never {
    throw new ExpressionError('in a condition this must be a constant')
  },
  register() {
    throw new ExpressionError('in a condition this must be a constant')
  },
  read: () => undefined,
  integer() {
    throw new ExpressionError('in a condition this must be a constant')
  },
}

function failureText(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

export function compileCondition(text: string, scope: Scope): CompiledCondition {
  const syntax = parseExpression(text, { isType: name => isTypeName(name, scope), assignments: false })
  const binder = new Binder(scope, compute => compute(NOTHING_KNOWN))
  return new Condition(text, truthOf(scalarOf(binder.bind(syntax), scope.pointerSize)))
}

/** Gives the text of a log message for the state that a vCPU is in. */
export type CompiledMessage = (vcpu: VcpuView, machine: MachineView) => string

/** `{expression}` in the text is replaced by its value, `\{` is a brace. An expression that fails shows why. */
export function compileLogMessage(text: string, scope: Scope, describe: Describe): CompiledMessage {
  const parts = messageParts(text)
  for (const part of parts)
    if (typeof part !== 'string')
      parseExpression(part.expression, { isType: name => isTypeName(name, scope), assignments: false })
  return (vcpu, machine) => {
    const subject = new VcpuSubject(vcpu, machine)
    return parts
      .map(part => (typeof part === 'string' ? part : shown(part.expression, scope, subject, describe)))
      .join('')
  }
}

/** The symbol at an address, as `name+0x1c`. */
export type Describe = (address: bigint) => string | undefined

function shown(expression: string, scope: Scope, subject: VcpuSubject, describe: Describe): string {
  try {
    return displayText(evaluate(expression, scope, subject), { subject, describe })
  } catch (error) {
    return `<${failureText(error)}>`
  }
}

function messageParts(text: string): (string | { readonly expression: string })[] {
  const parts: (string | { readonly expression: string })[] = []
  const pattern = /\\([{}\\])|\{([^{}]*)\}|([^\\{]+|[\\{])/g
  for (const [, escaped, expression, plain] of text.matchAll(pattern)) {
    if (expression !== undefined) parts.push({ expression })
    else parts.push(escaped ?? plain)
  }
  return parts
}
