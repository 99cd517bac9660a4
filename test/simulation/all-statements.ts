import { goingBack } from './back-statements.ts'
import type { Handlers } from './handlers.ts'
import { acting } from './operator-statements.ts'
import { records } from './records.ts'
import { states } from './statements.ts'
import { said } from './text-statements.ts'

/** What tests do beside the service. */
const beside: Handlers = {
  users_set_currency: {
    run(tables, [id, currency]) {
      const user = tables.users.get(BigInt(id as bigint))
      if (user === undefined) return []
      tables.users.set(user.id, { ...user, currency: currency as string | null })
      return []
    },
  },
}

/** The counterpart of every statement that a history can come to. */
export const STATEMENTS: Handlers = {
  ...states,
  ...records,
  ...acting,
  ...goingBack,
  ...said,
  ...beside,
}
