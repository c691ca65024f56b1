"""ECG quality assessment for wearables: training and device share one integer front end."""
