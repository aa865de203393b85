/** The balloon: memory that the guest gives away on request. */

import type { TargetBalloon } from '../../debugger/target.ts'
import { BALLOON, type BalloonBody, parseBalloonArguments } from '../../protocol/custom-requests.ts'
import { RequestError, type RequestFamily } from '../request.ts'
import type { Session } from '../session.ts'

export const balloonRequests: RequestFamily = {
  [BALLOON](session, args): BalloonBody {
    return resizeBalloon(session, parseBalloonArguments(args).size)
  },
}

/** @param size bytes that are to be in it; undefined to leave it. Throws {@link RequestError}. */
export function resizeBalloon(session: Session, size: number | undefined): BalloonBody {
  const balloon = balloonOf(session)
  try {
    if (size !== undefined) balloon.inflateTo(size)
  } catch (error) {
    if (error instanceof RangeError) throw new RequestError(error.message)
    throw error
  }
  return { size: balloon.size, target: balloon.target }
}

function balloonOf(session: Session): TargetBalloon {
  const { balloon } = session.debugger.target
  if (balloon === undefined) throw new RequestError('the guest has no balloon; launch it with "balloon": true')
  return balloon
}
