/** What is too long to be emitted wherever an instruction needs it: functions on vectors, shared by both tiers. */

import type { FunctionBuilder, FunctionReference } from '../wasm/function-builder.ts'
import type { ModuleBuilder } from '../wasm/module-builder.ts'
import type { ValueType } from '../wasm/opcodes.ts'
import { buildInvSubBytes, buildSubBytes } from './aes.ts'
import { buildCarrylessMultiply } from './carryless-multiply.ts'
import { buildSha1Rounds, buildSha256Rounds } from './sha.ts'

interface VectorFunction {
  readonly parameters: readonly ValueType[]
  readonly build: (f: FunctionBuilder) => void
}

const FUNCTIONS = {
  subBytes: { parameters: ['v128'], build: buildSubBytes },
  invSubBytes: { parameters: ['v128'], build: buildInvSubBytes },
  carrylessMultiply: { parameters: ['i64', 'i64'], build: buildCarrylessMultiply },
  sha1Rounds: { parameters: ['v128', 'v128', 'i32'], build: buildSha1Rounds },
  sha256Rounds: { parameters: ['v128', 'v128', 'v128'], build: buildSha256Rounds },
} as const satisfies Readonly<Record<string, VectorFunction>>

type Name = keyof typeof FUNCTIONS
/** Each returns a vector; their files say of what. */
export type VectorFunctions = Readonly<Record<Name, FunctionReference<'v128'>>>

function each(make: (name: Name) => FunctionReference<'v128'>): VectorFunctions {
  return {
    subBytes: make('subBytes'),
    invSubBytes: make('invSubBytes'),
    carrylessMultiply: make('carrylessMultiply'),
    sha1Rounds: make('sha1Rounds'),
    sha256Rounds: make('sha256Rounds'),
  }
}

/** Defines the functions and exports them by name. */
export function addVectorFunctions(module: ModuleBuilder): VectorFunctions {
  return each(name => {
    const { builder, reference } = module.declare(FUNCTIONS[name].parameters, 'v128', name)
    FUNCTIONS[name].build(builder)
    return reference
  })
}

/** The same functions for a module of compiled blocks. */
export function importVectorFunctions(module: ModuleBuilder): VectorFunctions {
  return each(name => module.import(name, FUNCTIONS[name].parameters, 'v128'))
}
