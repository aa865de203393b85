/** ACPI fixed hardware (ACPI 6.5, 4.8), at fixed ports that the machine's FADT and DSDT name. */

/** PM1a event block: status and enable, 2 bytes each. */
export const PM1A_EVENT = 0x600
export const PM1_EVENT_LENGTH = 4
/** PM1a control block. */
export const PM1A_CONTROL = 0x604
export const PM1_CONTROL_LENGTH = 2
/** Power management timer. */
export const PM_TIMER = 0x608
export const PM_TIMER_LENGTH = 4
/** General-purpose event block 0: status and enable, 2 bytes each, 16 events. */
export const GPE0 = 0x620
export const GPE0_LENGTH = 4

/** System control interrupt. */
export const SCI_IRQ = 9

/** There is no SMI command port: the hardware is always in ACPI mode, SCI_EN always reads 1 (FADT `SMI_CMD` = 0). */
export const SMI_COMMAND = 0

/** SLP_TYP of `_S5`, soft off: the DSDT must say `Package { 5, ... }`. */
export const SLP_TYP_S5 = 5

export const PM_TIMER_HERTZ = 3579545
/** The FADT flag TMR_VAL_EXT must be clear. */
export const PM_TIMER_BITS = 24

export const PM1_TIMER = 1 << 0
export const PM1_GLOBAL = 1 << 5
export const PM1_POWER_BUTTON = 1 << 8
export const PM1_SLEEP_BUTTON = 1 << 9
export const PM1_RTC = 1 << 10
/** Events that can raise the SCI. */
export const PM1_EVENTS = PM1_TIMER | PM1_GLOBAL | PM1_POWER_BUTTON | PM1_SLEEP_BUTTON | PM1_RTC

export const PM1_SCI_ENABLED = 1 << 0
export const PM1_BUS_MASTER_RELOAD = 1 << 1
export const PM1_SLEEP_TYPE_SHIFT = 10
export const PM1_SLEEP_TYPE = 7 << PM1_SLEEP_TYPE_SHIFT
export const PM1_SLEEP_ENABLE = 1 << 13
