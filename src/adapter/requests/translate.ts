/** An address's way through the guest's page tables and EPT. */

import { parseTranslateArguments, TRANSLATE, type TranslateBody } from '../../protocol/custom-requests.ts'
import { onWire } from '../../protocol/on-wire.ts'
import { vcpuOf } from '../frame-ids.ts'
import type { RequestFamily } from '../request.ts'

export const translateRequests: RequestFamily = {
  [TRANSLATE](session, args): TranslateBody {
    const { threadId, address, access } = parseTranslateArguments(args)
    const vcpu = threadId === undefined ? session.debugger.focus : vcpuOf(threadId)
    return onWire(session.debugger.translate(vcpu, address, access))
  },
}
