import { declineWords, type DeclineWord } from '../domain/decline.ts'

/** Stripe's codes of declines, errors that are declines, and reasons of failed refunds. */
export const STRIPE_WORDS = declineWords({
  insufficient_funds: 'insufficient_funds',
  limit_exceeded:
    'card_velocity_exceeded withdrawal_count_limit_exceeded pin_try_exceeded amount_too_large ' +
    'charge_exceeds_source_limit charge_exceeds_transaction_limit card_decline_rate_limit_exceeded',
  card_expired: 'expired_card expired_or_canceled_card expired_payment_method',
  card_invalid:
    'incorrect_number invalid_number incorrect_cvc invalid_cvc incorrect_pin invalid_pin ' +
    'invalid_expiry_month invalid_expiry_year incorrect_zip incorrect_address ' +
    'incorrect_postal_code',
  method_invalid:
    'invalid_account new_account_information_available no_account account_closed ' +
    'payment_method_unactivated revocation_of_authorization revocation_of_all_authorizations ' +
    'stop_payment_order payment_intent_mandate_invalid debit_not_authorized bank_account_unusable',
  method_unsupported:
    'card_not_supported currency_not_supported not_permitted service_not_allowed ' +
    'transaction_not_allowed invalid_amount testmode_decline offline_pin_required ' +
    'online_or_offline_pin_required bank_account_restricted',
  authentication_required:
    'authentication_required authentication_not_handled payment_intent_action_required ' +
    'mobile_device_authentication_required',
  authentication_failed:
    'payment_intent_authentication_failure authentication_failure payment_method_customer_decline',
  suspected_fraud: 'fraudulent merchant_blacklist highest_risk_level elevated_risk_level',
  lost_or_stolen: 'lost_card stolen_card pickup_card restricted_card lost_or_stolen_card',
  blocked: 'security_violation request_blocked action_blocked payment_method_restricted',
  call_issuer: 'call_issuer refer_to_customer approve_with_id',
  processing_error:
    'processing_error issuer_not_available reenter_transaction try_again_later ' +
    'payment_method_provider_timeout payment_intent_payment_attempt_failed',
  canceled: 'merchant_request requested_by_customer abandoned duplicate void_invoice',
  expired: 'automatic expired payment_intent_payment_attempt_expired',
  not_refundable:
    'charge_already_refunded charge_disputed charge_not_refundable refund_disputed_payment ' +
    'charge_for_pending_refund_disputed',
})

/** Codes of requests that Stripe refuses because of what was asked for: no other would do. */
const DECLINING: ReadonlySet<string> = new Set([
  'charge_already_refunded',
  'charge_disputed',
  'charge_not_refundable',
  'refund_disputed_payment',
])

/** Our word for Stripe's codes, of which the first counts that has one. */
export function wordFor(...codes: readonly (string | null)[]): DeclineWord {
  for (const code of codes) {
    const word = code === null ? undefined : STRIPE_WORDS.get(code)
    if (word !== undefined) return word
  }
  return 'declined'
}

/** Whether a refused request with this code is a no to the payment itself. */
export function isDecline(code: string | null): boolean {
  return code !== null && DECLINING.has(code)
}
