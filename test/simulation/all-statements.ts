import { waiting } from './aside-statements.ts'
import { goingBack } from './back-statements.ts'
import { delivering, placing, replaying } from './delivery-statements.ts'
import { endpoints, subscriptions } from './endpoint-statements.ts'
import type { Handlers } from './handlers.ts'
import { acting } from './operator-statements.ts'
import { records } from './records.ts'
import { runs } from './run-statements.ts'
import { states } from './statements.ts'
import { said } from './text-statements.ts'
import { watches } from './watch-statements.ts'

/** The counterpart of every statement that a history can come to. */
export const STATEMENTS: Handlers = {
  ...states,
  ...records,
  ...acting,
  ...goingBack,
  ...said,
  ...watches,
  ...placing,
  ...delivering,
  ...waiting,
  ...replaying,
  ...endpoints,
  ...subscriptions,
  ...runs,
}
