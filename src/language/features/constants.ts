/** Values of the constants that a document knows. */

import type { SourceDocument } from '../index/source-document.ts'
import type { Workspace } from '../index/workspace.ts'
import type { Token } from '../syntax/source-line.ts'
import { evaluate, type Lookup } from './expression.ts'

/** Names whose definitions differ have no value that can be said. */
export function constantsOf(workspace: Workspace, document: SourceDocument): Lookup {
  return name => {
    const values = workspace.definitions(document, name).map(({ at }) => at.value)
    const [first] = values
    const text = (value: readonly Token[] | undefined): string => (value ?? []).map(token => token.text).join(' ')
    return values.every(value => text(value) === text(first)) ? first : undefined
  }
}

export function constantValue(
  workspace: Workspace,
  document: SourceDocument,
  tokens: readonly Token[],
): bigint | undefined {
  return evaluate(tokens, document.dialect, constantsOf(workspace, document))
}
