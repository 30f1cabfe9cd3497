-- One wallet that everybody charges.
SELECT purser.grant_credits('hot-wallet', 1000000000, 'purchased', 'g'), purser.set_low_balance_alert('hot-wallet', 0);
