/** The list of handlers: each definition in each shape its operands can have, and in 64-bit mode or outside. */

import type { Definition, Definitions } from './definition.ts'
import { possibleShapes } from './shapes.ts'

export interface Handler {
  readonly key: string
  readonly definition: Definition
  readonly shape: string
  readonly long: boolean
  /** In the interpreter's loop; the others are functions of their own. */
  readonly inline: boolean
}

/** Name under which the decoder finds a handler. */
export function handlerKey(name: string, shape: string, long: boolean, implicit: boolean): string {
  return `${name}:${shape}${implicit && !long ? ':legacy' : ''}`
}

/** Handlers that no `Code` has: TypeScript's assists, undefined instructions, breakpoints, the end of a cut block. */
export const INTERNAL: Readonly<Record<string, Definition>> = {
  assist: {
    name: 'Assist',
    bits: [],
    hot: true,
    emit: scope => {
      scope.f.call(scope.runtime.assist, scope.record())
      scope.registersChanged()
    },
  },
  assistEnds: {
    name: 'AssistEnds',
    bits: [],
    hot: true,
    ends: 'jump',
    emit: scope => {
      scope.f.call(scope.runtime.assist, scope.record())
      scope.leaveAtRip()
    },
  },
  undefined: {
    name: 'Undefined',
    bits: [],
    hot: true,
    ends: 'jump',
    emit: scope => {
      scope.f.call(scope.runtime.undefinedInstruction, scope.record())
      scope.leaveAtRip()
    },
  },
}

export function listHandlers(definitions: Definitions): Handler[] {
  const handlers = new Map<string, Handler>()
  const add = (definition: Definition, shape: string) => {
    const implicit = definition.implicit === true || definition.ends === 'jump'
    for (const long of implicit ? [true, false] : [true]) {
      const key = handlerKey(definition.name, shape, long, implicit)
      if (handlers.has(key)) continue
      const inline = definition.hot === true && long && !shape.includes('g')
      handlers.set(key, { key, definition, shape, long, inline })
    }
  }
  for (const definition of Object.values(INTERNAL)) add(definition, '')
  for (const [code, definition] of definitions) {
    if ('assist' in definition) continue
    for (const shape of possibleShapes(code)) add(definition, shape)
  }
  return [...handlers.values()].sort((a, b) => Number(b.inline) - Number(a.inline))
}
